#include "sim/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/clock.h"
#include "sim/dataverse/dataverse.h"
#include "sim/dataverse/row.h"
#include "sim/random.h"
#include "sim/row.h"
#include "sim/sim.h"

bool sim_journal_open(struct sim *sim, const char *file)
{
    sim->journal = fopen(file, "ae");
    if (!sim->journal) {
        fprintf(stderr, "sluice-sim: cannot write %s: %s\n", file, strerror(errno));
        return false;
    }
    sim->store.changed = sim_journal_record;
    sim->store.changed_ctx = sim;
    return true;
}

void sim_journal_close(struct sim *sim)
{
    if (sim->journal)
        fclose(sim->journal);
    sim->journal = NULL;
}

/* Each line is out before the change can be seen by anybody. */
static void write_line(const struct sim *sim, struct sim_text *line)
{
    sim_text_puts(line, "}\n");
    fwrite(line->data, 1, line->len, sim->journal);
    fflush(sim->journal);
    sim_text_done(line);
}

void sim_journal_record(void *ctx, const struct sim_table *table, size_t index)
{
    struct sim *sim = ctx;
    char key[SIM_KEY_SIZE];
    struct sim_text line = {0};
    struct sim_row row = {0};
    uint32_t revision = table->records[index].revision;
    sim_segment_key(table->segments, table->segment_count, index, key);
    sim_row_make(&row, &(struct sim_row_of){.entity = table->entity,
                                            .seed = sim->store.seed,
                                            .company = table->company,
                                            .key = key,
                                            .revision = revision});
    sim_text_printf(&line, "{\"at_ms\":%" PRId64, sim_clock_ms());
    sim_text_member(&line, "entity", table->entity->label);
    sim_text_member(&line, "company", table->company);
    sim_text_member(&line, "key", key);
    sim_text_printf(&line, ",\"rev\":%" PRIu32 ",\"hash\":\"%016" PRIx64 "\"", revision,
                    sim_row_hash(&row));
    sim_row_done(&row);
    write_line(sim, &line);
}

void sim_journal_row(struct sim *sim, struct dv_table *table, uint32_t index, const char *op)
{
    if (!sim->journal)
        return;
    char guid[DV_GUID_SIZE];
    struct sim_text line = {0};
    struct dv_image image = dv_look(sim->dataverse, table, index);
    dv_guid_write(image.seed, image.schema, image.index, guid);
    sim_text_printf(&line, "{\"at_ms\":%" PRId64, sim_clock_ms());
    sim_text_member(&line, "table", image.schema->name);
    sim_text_member(&line, "id", guid);
    sim_text_printf(&line, ",\"versionnumber\":%" PRId64, image.version);
    sim_text_member(&line, "op", op);
    if (image.dead) {
        sim_text_puts(&line, ",\"deleted\":true");
    } else {
        struct sim_text fields = {0};
        struct dv_shape shape = {0};
        for (unsigned i = 0; i < image.schema->column_count; i++)
            shape.columns[shape.count++] = &image.schema->columns[i];
        dv_row_truth(&image, &shape, &fields);
        sim_text_printf(&line, ",\"hash\":\"%016" PRIx64 "\"",
                        sim_fnv(SIM_FNV_START, fields.data, fields.len));
        sim_text_done(&fields);
    }
    write_line(sim, &line);
}
