/* GET /_sim/dv/truth and GET /_sim/dv/changes: what is, and what has happened, streamed as one JSON
 * object a line. A stream follows the data as they are while it runs. */
#include <inttypes.h>
#include <stdlib.h>

#include "sim/dataverse/control.h"
#include "sim/dataverse/dataverse.h"
#include "sim/dataverse/row.h"

#define STEP 256 /* rows read at one time */
#define BLOCK_BYTES ((size_t)128 << 10)

struct stream {
    struct sim *sim;
    struct dv_table *table;
    char relation[DV_NAME_SIZE];
    size_t next;
    uint64_t left;
    bool fields;
    bool formatted;
    struct dv_image images[STEP];
    struct sim_text lines;
    size_t lines_read;
    bool (*fill)(struct stream *stream);
};

static void add_row_line(struct stream *stream, const struct dv_image *image,
                         const struct dv_shape *shape)
{
    struct sim_text *out = &stream->lines;
    char guid[DV_GUID_SIZE];
    dv_guid_write(image->seed, image->schema, image->index, guid);
    sim_text_printf(out, "{\"id\":\"%s\",\"versionnumber\":%" PRId64, guid, image->version);
    if (image->dead) {
        sim_text_puts(out, ",\"deleted\":true}\n");
        return;
    }
    if (stream->fields) {
        sim_text_puts(out, ",\"fields\":{");
        dv_row_truth(image, shape, out);
        sim_text_char(out, '}');
    }
    sim_text_puts(out, "}\n");
}

static bool fill_rows(struct stream *stream)
{
    size_t count = 0;
    sim_lock(stream->sim);
    struct dv_shape shape = {.formatted = stream->formatted, .lookups = stream->formatted};
    const struct dv_schema *schema = stream->table->schema;
    for (unsigned i = 0; i < schema->column_count; i++)
        shape.columns[shape.count++] = &schema->columns[i];
    for (; count < STEP && count < stream->left && stream->next + count < stream->table->count;
         count++)
        stream->images[count] =
            dv_look(stream->sim->dataverse, stream->table, (uint32_t)(stream->next + count));
    sim_unlock(stream->sim);
    for (size_t i = 0; i < count; i++)
        add_row_line(stream, &stream->images[i], &shape);
    stream->next += count;
    stream->left -= count;
    return count > 0;
}

static bool fill_relation(struct stream *stream)
{
    struct sim_text *out = &stream->lines;
    size_t count = 0;
    sim_lock(stream->sim);
    const struct dv_relation *relation = dv_find_relation(stream->sim->dataverse, stream->relation);
    for (; relation && count < STEP && stream->next < relation->count; count++) {
        const struct dv_link *link = &relation->links[stream->next++];
        char target[DV_GUID_SIZE];
        char related[DV_GUID_SIZE];
        dv_guid_write(relation->from->seed, relation->from->schema, link->target, target);
        dv_guid_write(relation->to->seed, relation->to->schema, link->related, related);
        sim_text_printf(out,
                        "{\"relationship\":\"%s\",\"target\":\"%s\",\"related\":\"%s\","
                        "\"versionnumber\":%" PRId64 "%s}\n",
                        relation->name, target, related, link->version,
                        link->dead ? ",\"deleted\":true" : "");
    }
    sim_unlock(stream->sim);
    return count > 0;
}

static void add_change(struct sim_text *out, const struct dv *dv, size_t place)
{
    const struct dv_change *change = &dv->changes[place];
    char guid[DV_GUID_SIZE];
    dv_guid_write(dv->sim->options.seed, change->schema, change->index, guid);
    sim_text_printf(out,
                    "{\"seq\":%zu,\"table\":\"%s\",\"id\":\"%s\",\"versionnumber\":%" PRId64
                    ",\"op\":\"%s\",\"at_ms\":%" PRId64,
                    place + 1, change->schema->name, guid, change->version, dv_op_name(change->op),
                    change->time_ms);
    if (change->relation) {
        dv_guid_write(dv->sim->options.seed, change->relation->to->schema, change->related, guid);
        sim_text_printf(out, ",\"relationship\":\"%s\",\"related\":\"%s\"", change->relation->name,
                        guid);
    }
    sim_text_puts(out, "}\n");
}

static bool fill_changes(struct stream *stream)
{
    size_t count = 0;
    sim_lock(stream->sim);
    const struct dv *dv = stream->sim->dataverse;
    for (; count < STEP && count < stream->left && stream->next < dv->change_count; count++)
        add_change(&stream->lines, dv, stream->next++);
    sim_unlock(stream->sim);
    stream->left -= count;
    return count > 0;
}

static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t most)
{
    struct stream *stream = cls;
    (void)position;
    if (stream->lines_read == stream->lines.len) {
        sim_text_clear(&stream->lines);
        stream->lines_read = 0;
        if (!stream->fill(stream))
            return MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t len = stream->lines.len - stream->lines_read;
    if (len > most)
        len = most;
    memcpy(out, stream->lines.data + stream->lines_read, len);
    stream->lines_read += len;
    return (ssize_t)len;
}

static void free_stream(void *cls)
{
    struct stream *stream = cls;
    sim_text_done(&stream->lines);
    free(stream);
}

static uint64_t number_argument(const struct sim_request *request, const char *name,
                                uint64_t otherwise)
{
    const char *text = sim_http_argument(request, name);
    return text && *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : otherwise;
}

static enum MHD_Result send_stream(struct sim_request *request, struct stream *stream)
{
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, stream, free_stream);
    MHD_add_response_header(response, "Content-Type", "application/x-ndjson");
    return sim_http_send(request, 200, response);
}

static struct stream *new_stream(struct sim_request *request)
{
    struct stream *stream = sim_alloc(sizeof(*stream));
    stream->sim = request->sim;
    stream->left = number_argument(request, "limit", UINT64_MAX);
    return stream;
}

enum MHD_Result dv_truth_serve(struct sim_request *request)
{
    const char *name = sim_http_argument(request, "table");
    const char *relation = sim_http_argument(request, "relationship");
    sim_lock(request->sim);
    struct dv_table *table = name ? dv_find_table(request->sim->dataverse, name) : NULL;
    bool related = relation && dv_find_relation(request->sim->dataverse, relation);
    sim_unlock(request->sim);
    if (!table && !related) {
        struct sim_text out = {0};
        sim_text_puts(&out, "{\"error\":\"truth wants table=… or relationship=…\"}");
        return sim_http_answer(request, 404, "application/json", &out, NULL);
    }
    struct stream *stream = new_stream(request);
    stream->table = table;
    stream->fill = table ? fill_rows : fill_relation;
    sim_copy(stream->relation, sizeof(stream->relation), relation ? relation : "");
    stream->next = number_argument(request, "from", 0);
    stream->fields = number_argument(request, "fields", 1) == 1;
    stream->formatted = number_argument(request, "formatted", 0) == 1;
    return send_stream(request, stream);
}

enum MHD_Result dv_changes_serve(struct sim_request *request)
{
    struct stream *stream = new_stream(request);
    uint64_t from = number_argument(request, "from", 1);
    stream->next = from > 0 ? from - 1 : 0;
    stream->fill = fill_changes;
    return send_stream(request, stream);
}
