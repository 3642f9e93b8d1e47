/* One request: what is this row like now, are these two associated? The answer's version is taken
 * before it is sent, so that a reading that was asked for later always has a greater one, whoever
 * asks (docs/adr/0013-read-back.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/odata.h"
#include "webhook/webhook_own.h"

enum { PIECE_BYTES = 16 * 1024, VERSION_TIMEOUT_MS = 10 * 1000 };

static const char ANNOTATIONS[] =
    "odata.include-annotations=\"OData.Community.Display.V1.FormattedValue,"
    "Microsoft.Dynamics.CRM.lookuplogicalname\"";

/* What the parser's callbacks work with. */
struct asked {
    const char *id; /* the row that must be the answer's */
    struct sl_hook_table *table;
    struct sl_hook_reading *reading;
    bool strange; /* another row than the one that was asked for */
    bool news;    /* it has a column of which the description says nothing yet */
};

void sl_hook_reading_done(struct sl_hook_reading *reading)
{
    if (reading->doc.data)
        sl_buf_done(&reading->doc);
    memset(reading, 0, sizeof *reading);
}

/* --- the answer --- */

static void keep_doc(struct sl_hook_reading *reading, struct sl_str doc)
{
    if (!reading->doc.data)
        sl_buf_init(&reading->doc);
    sl_buf_clear(&reading->doc);
    sl_buf_add(&reading->doc, doc.at, doc.length);
}

static int take_row(void *ctx, const struct sl_odata_row *row, struct sl_err *err)
{
    struct asked *asked = ctx;
    (void)err;
    if (row->deleted || !sl_str_is(row->id, asked->id)) {
        asked->strange = true;
        return SL_OK;
    }
    asked->reading->exists = true;
    asked->reading->changed_at_ms = row->changed_at_ms;
    keep_doc(asked->reading, row->doc);
    return SL_OK;
}

static int take_bad(void *ctx, struct sl_str id, const char *code, const char *reason,
                    struct sl_str raw_doc, struct sl_err *err)
{
    struct asked *asked = ctx;
    struct sl_hook_reading *reading = asked->reading;
    reading->exists |= sl_str_is(id, asked->id);
    if (!strcmp(code, "untypable") && sl_hook_table_doubt(asked->table))
        return sl_err_set(err, SL_CLOSED, "%s; asked again knowing its type", reason);
    reading->dead_code = code;
    snprintf(reading->dead_reason, sizeof reading->dead_reason, "%s", reason);
    keep_doc(reading, raw_doc);
    return SL_OK;
}

/* A column's type decides how its value is stored, which is not stored again. */
static void note_column(void *ctx, struct sl_str name)
{
    struct asked *asked = ctx;
    asked->news |= sl_hook_table_lacks(asked->table, name);
}

static int feed_parser(struct sl_http_stream *stream, struct sl_odata *parser, uint64_t patience_ms,
                       struct sl_err *err)
{
    struct sl_dataverse_pace pace = {.patience_ms = patience_ms};
    char piece[PIECE_BYTES];
    for (;;) {
        size_t size;
        int rc = sl_dataverse_read(stream, &pace, piece, sizeof piece, &size, err);
        if (rc == SL_END)
            return sl_odata_end(parser, err);
        if (rc == SL_OK)
            rc = sl_odata_feed(parser, piece, size, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* Asks, and reads what comes. An answer that makes no sense is asked for again. */
static int ask(const struct sl_hook_job *job, const struct sl_dataverse_get *get, bool single,
               struct asked *asked, struct sl_err *err)
{
    static const struct sl_odata_handler handler = {take_row, take_bad, note_column};
    const struct sl_webhook *webhook = job->feed->webhook;
    struct sl_dataverse_remote *remote = sl_dataverse_remote(sl_hook_reader(webhook));
    const struct sl_odata_options options = {
        .columns = &asked->table->it.columns,
        .id_column = asked->table->it.id_column,
        .changed_column = asked->table->it.has_modified ? "modifiedon" : NULL,
        .max_row_bytes = webhook->env.limits->max_row_bytes,
        .single = single,
    };
    struct sl_http_stream *stream;
    struct sl_http_response head;
    int rc = sl_dataverse_open(remote, get, &stream, &head, err);
    if (rc == SL_REJECTED && asked->table->it.select && sl_hook_table_doubt(asked->table))
        rc = err->code = SL_CLOSED;
    if (rc != SL_OK)
        return rc;
    sl_http_response_done(&head);
    struct sl_odata *parser = sl_odata_new(&options, &handler, asked);
    rc = feed_parser(stream, parser, remote->settings->request_timeout_ms, err);
    sl_odata_free(parser);
    sl_dataverse_close(remote, stream);
    if (rc == SL_OK && single &&
        (asked->strange || (!asked->reading->exists && !asked->reading->dead_code)))
        rc = sl_err_set(err, SL_CLOSED, "the answer is another row than the one asked for");
    if (rc == SL_OK && asked->news)
        rc = sl_err_set(err, SL_CLOSED, "a column is new; asked again knowing its type");
    if (rc == SL_REJECTED)
        rc = err->code = SL_CLOSED;
    return rc == SL_OK ? rc : sl_err_wrap(err, "%s", asked->table->name);
}

static int take_version(const struct sl_hook_job *job, struct sl_hook_reading *reading,
                        struct sl_err *err)
{
    return sl_arrival_take(job->feed->webhook->arrival, 1, sl_deadline_in(VERSION_TIMEOUT_MS),
                           &reading->version, err);
}

/* --- a row --- */

static void write_row_path(const struct sl_hook_job *job, const struct sl_hook_table *table,
                           struct sl_buf *path)
{
    sl_buf_init(path);
    sl_buf_printf(path, "%s(%s)", table->it.entity_set, job->pair.row.id);
    if (table->it.select)
        sl_buf_printf(path, "?$select=%s", table->it.select);
}

static int ask_for_row(const struct sl_hook_job *job, struct sl_hook_table *table,
                       struct sl_hook_reading *ret, struct sl_err *err)
{
    struct asked asked = {.id = job->pair.row.id, .table = table, .reading = ret};
    struct sl_buf path;
    int rc = take_version(job, ret, err);
    if (rc != SL_OK)
        return rc;
    write_row_path(job, table, &path);
    const struct sl_dataverse_get get = {
        .path = path.data,
        .row = true,
        .table = table->name,
        .prefer = job->feed->settings->formatted_values ? ANNOTATIONS : NULL,
        .urgency = SL_URGENT,
    };
    rc = ask(job, &get, true, &asked, err);
    sl_buf_done(&path);
    return rc == SL_NOTFOUND ? SL_OK : rc; /* deleted */
}

static int read_row(const struct sl_hook_job *job, struct sl_hook_reading *ret, struct sl_err *err)
{
    const struct sl_webhook_feed_settings *settings = job->feed->settings;
    struct sl_hook_table *table;
    int rc = sl_hook_table_get(job->feed->webhook, settings->table, settings->select, &table, err);
    if (rc != SL_OK)
        return rc;
    sl_hook_feed_sees(job->feed, table->sight);
    rc = ask_for_row(job, table, ret, err);
    sl_hook_table_put(table);
    return rc;
}

/* --- an association --- */

static void add_end(struct sl_bson_writer *writer, struct sl_bson_key key,
                    const struct sl_webhook_row *row)
{
    sl_bson_open_doc(writer, key);
    sl_bson_add_utf8(writer, SL_BSON_KEY("table"), row->table, strlen(row->table));
    sl_bson_add_utf8(writer, SL_BSON_KEY("id"), row->id, strlen(row->id));
    sl_bson_close(writer);
}

static void write_association(const struct sl_hook_job *job, struct sl_buf *doc)
{
    const char *relationship = job->feed->settings->relationship;
    struct sl_bson_writer writer;
    if (!doc->data)
        sl_buf_init(doc);
    sl_buf_clear(doc);
    sl_bson_begin_buf(&writer, doc);
    sl_bson_add_utf8(&writer, SL_BSON_KEY("relationship"), relationship, strlen(relationship));
    add_end(&writer, SL_BSON_KEY("target"), &job->pair.row);
    add_end(&writer, SL_BSON_KEY("related"), &job->pair.related);
    sl_bson_end(&writer);
}

/* The related row is not in the answer. It may be out of the user's sight and associated: it is
 * asked for by itself, and refused then. Always, since rights may have been narrowed after we asked
 * for them. SL_OK: it can be seen, or is gone. */
static int look_for_related(const struct sl_hook_job *job, const struct sl_hook_table *related,
                            struct sl_err *err)
{
    struct sl_json_doc *doc = NULL;
    struct sl_buf path;
    sl_buf_init(&path);
    sl_buf_printf(&path, "%s(%s)?$select=%s", related->it.entity_set, job->pair.related.id,
                  related->it.id_column);
    const struct sl_dataverse_get get = {
        .path = path.data, .row = true, .table = related->name, .urgency = SL_URGENT};
    int rc = sl_dataverse_read_json(sl_dataverse_remote(sl_hook_reader(job->feed->webhook)), &get,
                                    &doc, err);
    sl_buf_done(&path);
    sl_json_free(doc);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

static int ask_for_association(const struct sl_hook_job *job, const struct sl_hook_table *target,
                               struct sl_hook_table *related, struct sl_hook_reading *ret,
                               struct sl_err *err)
{
    const struct sl_hook_pair *pair = &job->pair;
    const char *id_column = related->it.id_column;
    struct asked asked = {.id = pair->related.id, .table = related, .reading = ret};
    struct sl_buf path;
    int rc = take_version(job, ret, err);
    if (rc != SL_OK)
        return rc;
    sl_buf_init(&path);
    sl_buf_printf(&path, "%s(%s)/%s?$select=%s&$filter=%s%%20eq%%20%s", target->it.entity_set,
                  pair->row.id, job->feed->settings->relationship, id_column, id_column,
                  pair->related.id);
    const struct sl_dataverse_get get = {
        .path = path.data, .row = true, .table = target->name, .urgency = SL_URGENT};
    rc = ask(job, &get, false, &asked, err);
    sl_buf_done(&path);
    if (rc == SL_OK && !ret->exists && ret->dead_code)
        return sl_err_set(err, SL_CLOSED, "%s: a row of the answer cannot be read: %s",
                          target->name, ret->dead_reason);
    if (rc == SL_OK && !ret->exists)
        rc = look_for_related(job, related, err);
    if (rc == SL_NOTFOUND) /* the target itself is gone, and with it all its associations */
        rc = SL_OK;
    ret->dead_code = NULL; /* that the related row is there is all that counts */
    ret->changed_at_ms = 0;
    if (rc == SL_OK && ret->exists)
        write_association(job, &ret->doc);
    return rc;
}

static int read_association(const struct sl_hook_job *job, struct sl_hook_reading *ret,
                            struct sl_err *err)
{
    struct sl_webhook *webhook = job->feed->webhook;
    struct sl_hook_table *target = NULL, *related = NULL;
    int rc = sl_hook_table_get(webhook, job->pair.row.table, NULL, &target, err);
    if (rc == SL_OK)
        rc = sl_hook_table_get(webhook, job->pair.related.table, NULL, &related, err);
    if (rc == SL_OK) {
        sl_hook_feed_sees(job->feed, target->sight[0] ? target->sight : related->sight);
        rc = ask_for_association(job, target, related, ret, err);
    }
    sl_hook_table_put(target);
    sl_hook_table_put(related);
    return rc;
}

int sl_hook_read(const struct sl_hook_job *job, struct sl_hook_reading *ret, struct sl_err *err)
{
    return job->feed->settings->relationship ? read_association(job, ret, err)
                                             : read_row(job, ret, err);
}
