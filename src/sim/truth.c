/* GET /_sim/truth: what every record is, streamed as one JSON object a line. The stream follows the
 * data as they are while it runs; a record is read when its turn comes. */
#include "sim/control.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sim/faults.h"

#define STEP 256 /* records read at one time */
#define BLOCK_BYTES ((size_t)128 << 10)

struct truth {
    struct sim *sim;
    const struct sim_entity *entity;
    char company[SIM_COMPANY_SIZE];
    char project[SIM_NAME_SIZE];
    size_t next;
    uint64_t left;
    bool hash_only;
    struct sim_faults faults;
    struct sim_row row;
    struct sim_text lines;
    size_t lines_read;
    char keys[STEP][SIM_KEY_SIZE];
    uint32_t revisions[STEP];
};

/* The document key: company and key, with the bar and the backslash escaped. */
static void add_document_key(struct sim_text *out, const char *company, const char *key)
{
    struct sim_text text = {0};
    const char *parts[] = {company, key};
    for (int i = 0; i < 2; i++) {
        if (i)
            sim_text_char(&text, '|');
        for (const char *c = parts[i]; *c; c++) {
            if (*c == '|' || *c == '\\')
                sim_text_char(&text, '\\');
            sim_text_char(&text, *c);
        }
    }
    sim_text_json(out, text.data, text.len);
    sim_text_done(&text);
}

static void add_fields(struct sim_text *out, const struct sim_entity *entity,
                       const struct sim_row *row)
{
    sim_text_puts(out, ",\"fields\":{");
    for (unsigned i = 0; i < row->count; i++) {
        size_t len;
        const char *cell = sim_row_cell(row, i, &len);
        sim_text_name(out, entity->columns[i].name);
        sim_text_json(out, cell, len);
    }
    sim_text_char(out, '}');
}

static void add_line(struct truth *truth, size_t index, const char *key, uint32_t revision)
{
    struct sim_text *out = &truth->lines;
    struct sim_row_of of = {
        .entity = truth->entity,
        .seed = truth->sim->store.seed,
        .company = truth->company,
        .key = key,
        .revision = revision,
        .fault = sim_faults_of(&truth->faults, index),
        .big_bytes = sim_faults_big(&truth->faults, index),
    };
    sim_row_make(&truth->row, &of);
    sim_text_puts(out, "{\"key\":");
    add_document_key(out, truth->company, key);
    sim_text_printf(out, ",\"rev\":%" PRIu32, revision);
    if (of.fault != FAULT_NONE)
        sim_text_member(out, "bad", sim_fault_name(of.fault));
    if (of.big_bytes)
        sim_text_number(out, "big", (int64_t)of.big_bytes);
    if (truth->hash_only)
        sim_text_printf(out, ",\"hash\":\"%016" PRIx64 "\"", sim_row_hash(&truth->row));
    else
        add_fields(out, truth->entity, &truth->row);
    sim_text_puts(out, "}\n");
}

/* Makes the lines of the next records. False when there are no more. */
static bool fill(struct truth *truth)
{
    struct sim *sim = truth->sim;
    size_t count = 0;
    sim_lock(sim);
    const struct sim_table *table =
        sim_store_table(&sim->store, truth->entity, truth->company, false);
    while (table && count < STEP && count < truth->left && truth->next + count < table->count) {
        size_t index = truth->next + count;
        sim_segment_key(table->segments, table->segment_count, index, truth->keys[count]);
        truth->revisions[count++] =
            sim_record_is_dead(&table->records[index]) ? 0 : table->records[index].revision;
    }
    truth->faults =
        sim_faults_read(sim_switch_view(sim, sim_project_find(&sim->projects, truth->project)));
    sim_unlock(sim);

    sim_text_clear(&truth->lines);
    truth->lines_read = 0;
    for (size_t i = 0; i < count; i++)
        if (truth->revisions[i])
            add_line(truth, truth->next + i, truth->keys[i], truth->revisions[i]);
    truth->next += count;
    truth->left -= count;
    return count > 0;
}

static ssize_t read_truth(void *cls, uint64_t position, char *out, size_t most)
{
    struct truth *truth = cls;
    (void)position;
    while (truth->lines_read == truth->lines.len) /* a step may hold deleted records alone */
        if (!fill(truth))
            return MHD_CONTENT_READER_END_OF_STREAM;
    size_t len = truth->lines.len - truth->lines_read;
    if (len > most)
        len = most;
    memcpy(out, truth->lines.data + truth->lines_read, len);
    truth->lines_read += len;
    return (ssize_t)len;
}

static void free_truth(void *cls)
{
    struct truth *truth = cls;
    sim_row_done(&truth->row);
    sim_text_done(&truth->lines);
    free(truth);
}

static uint64_t number_argument(const struct sim_request *request, const char *name,
                                uint64_t otherwise)
{
    const char *text = sim_http_argument(request, name);
    return text && *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : otherwise;
}

enum MHD_Result sim_truth_serve(struct sim_request *request)
{
    const char *label = sim_http_argument(request, "entity");
    const char *company = sim_http_argument(request, "company");
    const char *project = sim_http_argument(request, "project");
    const struct sim_entity *entity = sim_entity_find(label ? label : "");
    if (!entity || !company) {
        struct sim_text out = {0};
        sim_text_puts(&out, "{\"error\":\"truth wants entity=…&company=…\"}");
        return sim_http_answer(request, 400, "application/json", &out, NULL);
    }
    struct truth *truth = sim_alloc(sizeof(*truth));
    truth->sim = request->sim;
    truth->entity = entity;
    sim_company_fold(truth->company, company);
    sim_copy(truth->project, sizeof(truth->project), project ? project : "");
    truth->next = number_argument(request, "from", 0);
    truth->left = number_argument(request, "limit", UINT64_MAX);
    truth->hash_only = number_argument(request, "hash", 0) == 1;
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_truth, truth, free_truth);
    MHD_add_response_header(response, "Content-Type", "application/x-ndjson");
    return sim_http_send(request, 200, response);
}
