/* Writing messages, and the door to the two readers. */
#include "flow/message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "flow/envelope.h"
#include "format/bson_reader.h"
#include "format/bson_writer.h"
#include "format/extjson.h"

const char *sl_content_type(enum sl_content content)
{
    return content == SL_CONTENT_BSON ? "application/bson" : "application/json";
}

enum { HEAD_BYTES = 2048, ROW_BYTES = 192 }; /* of an envelope; of a row beside id and document */

/* About the size of the message, so that it seldom moves while it grows. */
static size_t guess_bytes(const struct sl_batch *batch, enum sl_content content)
{
    size_t rows = batch->bytes + (size_t)batch->count * ROW_BYTES;
    return HEAD_BYTES + rows + (content == SL_CONTENT_JSON ? rows / 4 : 0); /* quotes, "$date" */
}

/* Measures the work done since the last yield. */
struct slice {
    uint32_t rows;
    size_t length; /* of out when it began */
};

static int after_row(struct slice *slice, size_t length, struct sl_err *err)
{
    if (++slice->rows < SL_MESSAGE_SLICE_ROWS && length - slice->length < SL_MESSAGE_SLICE_BYTES)
        return SL_OK;
    slice->rows = 0;
    slice->length = length;
    return sl_message_breathe(err);
}

static int64_t published_at(const struct sl_batch *batch)
{
    return batch->published_at_us ? batch->published_at_us / 1000 : sl_wall_ms();
}

static void json_text(struct sl_buf *out, const char *key, struct sl_str text)
{
    sl_buf_add_text(out, key);
    if (!sl_extjson_write_text(out, text.at, text.length)) {
        sl_buf_add_char(out, '"'); /* a name that is not UTF-8: readable is better than refused */
        sl_buf_add_json(out, text.at, text.length);
        sl_buf_add_char(out, '"');
    }
}

static void json_moment(struct sl_buf *out, const char *key, int64_t wall_ms)
{
    size_t length = out->length;
    sl_buf_add_text(out, key);
    sl_buf_add_char(out, '"');
    if (!wall_ms || !sl_extjson_write_moment(out, wall_ms)) {
        out->length = length;
        out->data[length] = 0;
        return;
    }
    sl_buf_add_char(out, '"');
}

static void json_whole(struct sl_buf *out, const char *key, int64_t value)
{
    sl_buf_add_text(out, key);
    sl_buf_commit(out, sl_int64_format(value, sl_buf_reserve(out, SL_NUMBER_BYTES)));
}

static void json_head(const struct sl_batch *batch, struct sl_buf *out)
{
    const struct sl_origin *origin = &batch->origin;
    json_whole(out, "{\"sluice\":", SL_MESSAGE_VERSION);
    json_text(out, ",\"feed\":", sl_str_of(origin->feed));
    json_text(out, ",\"entity\":", sl_str_of(origin->entity));
    if (origin->collection) {
        json_text(out, ",\"database\":", sl_str_of(origin->database));
        json_text(out, ",\"collection\":", sl_str_of(origin->collection));
    }
    json_text(out, ",\"run\":", sl_str_of(origin->run));
    if (origin->file && *origin->file)
        json_text(out, ",\"file\":", sl_str_of(origin->file));
    json_whole(out, ",\"attempt\":", origin->attempt);
    json_whole(out, ",\"batch\":", origin->number);
    sl_buf_add_text(out, origin->last ? ",\"last\":true" : ",\"last\":false");
    if (origin->batches >= 0)
        json_whole(out, ",\"batches\":", origin->batches);
    else
        sl_buf_add_text(out, ",\"batches\":null");
    sl_buf_add_text(out, origin->full ? ",\"full\":true" : ",\"full\":false");
    if (origin->seen)
        json_text(out, ",\"seen\":", sl_str_of(origin->seen));
    json_whole(out, ",\"count\":", batch->count);
    json_whole(out, ",\"superseded\":", batch->superseded);
    json_moment(out, ",\"read_at\":", origin->read_at_ms);
    json_moment(out, ",\"published_at\":", published_at(batch));
}

static void json_letter(const struct sl_letter_ref *letter, struct sl_buf *out)
{
    json_text(out, ",\"letter_run\":", sl_str_of(letter->run));
    if (letter->row_number)
        json_whole(out, ",\"letter_row\":", (int64_t)letter->row_number);
    json_moment(out, ",\"letter_read_at\":", letter->read_at_ms);
}

static int json_row(const struct sl_record *record, struct sl_buf *out, struct sl_err *err)
{
    bool upsert = record->op == SL_UPSERT;
    sl_buf_add_text(out, upsert ? "{\"op\":\"upsert\",\"id\":" : "{\"op\":\"delete\",\"id\":");
    if (!sl_extjson_write_text(out, record->id.at, record->id.length))
        return sl_err_set(err, SL_REJECTED, "the id is not valid UTF-8");
    json_whole(out, ",\"v\":", record->version);
    json_moment(out, ",\"changed_at\":", record->changed_at_ms);
    if (record->line)
        json_whole(out, ",\"line\":", record->line);
    if (record->letter)
        json_letter(record->letter, out);
    if (upsert) {
        sl_buf_add_text(out, ",\"doc\":");
        int rc = sl_extjson_write(out, record->doc.at, record->doc.length, err);
        if (rc != SL_OK)
            return rc;
    }
    sl_buf_add_char(out, '}');
    return SL_OK;
}

static int encode_json(const struct sl_batch *batch, struct sl_buf *out, struct sl_err *err)
{
    struct slice slice = {0, out->length};
    json_head(batch, out);
    sl_buf_add_text(out, ",\"rows\":[");
    for (uint32_t i = 0; i < batch->count; i++) {
        if (i)
            sl_buf_add_char(out, ',');
        int rc = json_row(&batch->records[i], out, err);
        if (rc != SL_OK)
            return sl_err_wrap(err, "cannot encode row %u of %s/%s", i, batch->origin.feed,
                               batch->origin.entity);
        rc = after_row(&slice, out->length, err);
        if (rc != SL_OK)
            return rc;
    }
    sl_buf_add_text(out, "]}");
    return SL_OK;
}

static void bson_text(struct sl_bson_writer *writer, struct sl_bson_key key, const char *text)
{
    sl_bson_add_utf8(writer, key, text, strlen(text));
}

static void bson_head(const struct sl_batch *batch, struct sl_bson_writer *writer)
{
    const struct sl_origin *origin = &batch->origin;
    sl_bson_add_int64(writer, SL_BSON_KEY("sluice"), SL_MESSAGE_VERSION);
    bson_text(writer, SL_BSON_KEY("feed"), origin->feed);
    bson_text(writer, SL_BSON_KEY("entity"), origin->entity);
    if (origin->collection) {
        bson_text(writer, SL_BSON_KEY("database"), origin->database);
        bson_text(writer, SL_BSON_KEY("collection"), origin->collection);
    }
    bson_text(writer, SL_BSON_KEY("run"), origin->run);
    if (origin->file && *origin->file)
        bson_text(writer, SL_BSON_KEY("file"), origin->file);
    sl_bson_add_int64(writer, SL_BSON_KEY("attempt"), origin->attempt);
    sl_bson_add_int64(writer, SL_BSON_KEY("batch"), origin->number);
    sl_bson_add_bool(writer, SL_BSON_KEY("last"), origin->last);
    if (origin->batches >= 0)
        sl_bson_add_int64(writer, SL_BSON_KEY("batches"), origin->batches);
    else
        sl_bson_add_null(writer, SL_BSON_KEY("batches"));
    sl_bson_add_bool(writer, SL_BSON_KEY("full"), origin->full);
    if (origin->seen)
        bson_text(writer, SL_BSON_KEY("seen"), origin->seen);
    sl_bson_add_int64(writer, SL_BSON_KEY("count"), batch->count);
    sl_bson_add_int64(writer, SL_BSON_KEY("superseded"), batch->superseded);
    if (origin->read_at_ms)
        sl_bson_add_date(writer, SL_BSON_KEY("read_at"), origin->read_at_ms);
    sl_bson_add_date(writer, SL_BSON_KEY("published_at"), published_at(batch));
}

static void bson_letter(const struct sl_letter_ref *letter, struct sl_bson_writer *writer)
{
    bson_text(writer, SL_BSON_KEY("letter_run"), letter->run);
    if (letter->row_number)
        sl_bson_add_int64(writer, SL_BSON_KEY("letter_row"), (int64_t)letter->row_number);
    if (letter->read_at_ms)
        sl_bson_add_date(writer, SL_BSON_KEY("letter_read_at"), letter->read_at_ms);
}

static int bson_row(const struct sl_record *record, struct sl_bson_writer *writer,
                    struct sl_err *err)
{
    char storage[16];
    sl_bson_open_doc(writer, sl_bson_next_index(writer, storage));
    bson_text(writer, SL_BSON_KEY("op"), record->op == SL_UPSERT ? "upsert" : "delete");
    sl_bson_add_utf8(writer, SL_BSON_KEY("id"), record->id.at, record->id.length);
    sl_bson_add_int64(writer, SL_BSON_KEY("v"), record->version);
    if (record->changed_at_ms)
        sl_bson_add_date(writer, SL_BSON_KEY("changed_at"), record->changed_at_ms);
    if (record->line)
        sl_bson_add_int64(writer, SL_BSON_KEY("line"), record->line);
    if (record->letter)
        bson_letter(record->letter, writer);
    if (record->op == SL_UPSERT) {
        int rc = record->sound ? SL_OK : sl_bson_check(record->doc, err);
        if (rc != SL_OK)
            return rc;
        sl_bson_add_doc(writer, SL_BSON_KEY("doc"), record->doc);
    }
    sl_bson_close(writer);
    return SL_OK;
}

static int encode_bson(const struct sl_batch *batch, struct sl_buf *out, struct sl_err *err)
{
    struct sl_bson_writer writer;
    struct slice slice = {0, 0};
    sl_bson_begin_buf(&writer, out);
    bson_head(batch, &writer);
    sl_bson_open_array(&writer, SL_BSON_KEY("rows"));
    for (uint32_t i = 0; i < batch->count; i++) {
        int rc = bson_row(&batch->records[i], &writer, err);
        if (rc != SL_OK)
            return sl_err_wrap(err, "cannot encode row %u of %s/%s", i, batch->origin.feed,
                               batch->origin.entity);
        rc = after_row(&slice, sl_bson_size(&writer), err);
        if (rc != SL_OK)
            return rc;
    }
    sl_bson_close(&writer);
    sl_bson_end(&writer);
    return SL_OK;
}

int sl_message_encode(const struct sl_batch *batch, enum sl_content content, struct sl_buf *out,
                      struct sl_err *err)
{
    size_t length = out->length;
    sl_buf_reserve(out, guess_bytes(batch, content));
    int rc =
        content == SL_CONTENT_BSON ? encode_bson(batch, out, err) : encode_json(batch, out, err);
    if (rc != SL_OK && out->data) {
        out->length = length;
        out->data[length] = 0;
    }
    return rc;
}

/* The type without parameters ("; charset=utf-8"). */
static bool content_is(const char *content_type, const char *wanted)
{
    size_t length = strcspn(content_type, "; ");
    return length == strlen(wanted) && !strncasecmp(content_type, wanted, length);
}

static int refuse_content(const char *content_type, struct sl_err *err)
{
    return sl_err_set(err, SL_REJECTED,
                      "content type '%.60s' is neither application/json nor application/bson",
                      content_type);
}

static int decode(struct sl_batch *batch, const char *content_type, const char *bytes, size_t size,
                  struct sl_err *err)
{
    struct sl_envelope envelope = {.feed = "", .entity = "", .run = "", .file = ""};
    int rc;
    envelope.batches = -1;
    if (size > SL_MESSAGE_BYTES_MAX)
        return sl_err_set(err, SL_REJECTED, "a message of %zu bytes, but at most %d are read", size,
                          SL_MESSAGE_BYTES_MAX);
    if (content_is(content_type, "application/json"))
        rc = sl_message_read_json(batch, bytes, size, &envelope, err);
    else if (content_is(content_type, "application/bson"))
        rc = sl_message_read_bson(batch, bytes, size, &envelope, err);
    else
        return refuse_content(content_type, err);
    if (rc == SL_OK)
        rc = sl_message_finish(batch, &envelope, err);
    return rc == SL_REJECTED ? sl_err_wrap(err, "unreadable message") : rc;
}

int sl_message_take(struct sl_batch *batch, const char *content_type, char *body, size_t size,
                    struct sl_err *err)
{
    bool views = content_is(content_type ? content_type : "", "application/bson");
    if (views)
        sl_batch_adopt(batch, body, size);
    int rc = decode(batch, content_type ? content_type : "", body, size, err);
    if (!views)
        free(body);
    return rc;
}

int sl_message_decode(struct sl_batch *batch, const char *content_type, const void *bytes,
                      size_t size, struct sl_err *err)
{
    char *copy = sl_alloc(size);
    if (size)
        memcpy(copy, bytes, size);
    return sl_message_take(batch, content_type, copy, size, err);
}
