#include "store/audit_ledger.h"

#include <string.h>

#include "mongo/fields.h"

enum { SLICE_ENTRIES = 20000 }; /* added up by one command */

static void append_range(bson_t *filter, const struct sl_audit_ledger *ledger, const bson_t *end)
{
    bson_t range, bound;
    if (bson_empty(&ledger->after) && !ledger->run && !end)
        return; /* an empty range would be equal to nothing */
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &range);
    if (!bson_empty(&ledger->after)) {
        BSON_APPEND_DOCUMENT(&range, "$gt", &ledger->after);
    } else if (ledger->run) {
        BSON_APPEND_DOCUMENT_BEGIN(&range, "$gte", &bound);
        BSON_APPEND_UTF8(&bound, "run", ledger->run);
        bson_append_document_end(&range, &bound);
    }
    if (end) {
        BSON_APPEND_DOCUMENT(&range, "$lte", end);
    } else if (ledger->run) {
        BSON_APPEND_DOCUMENT_BEGIN(&range, "$lt", &bound);
        BSON_APPEND_UTF8(&bound, "run", ledger->run);
        BSON_APPEND_MAXKEY(&bound, "attempt");
        bson_append_document_end(&range, &bound);
    }
    bson_append_document_end(filter, &range);
}

/* The last _id of the slice that begins behind ledger->after; SL_NOTFOUND: it has no end. */
static int find_end(const struct sl_audit_ledger *ledger, bson_t *ret_end, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, filter, document, id;
    bson_t *by_id = BCON_NEW("_id", BCON_INT32(1));
    BSON_APPEND_UTF8(&command, "find", "ledger");
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
    append_range(&filter, ledger, NULL);
    bson_append_document_end(&command, &filter);
    BSON_APPEND_DOCUMENT(&command, "sort", by_id);
    BSON_APPEND_DOCUMENT(&command, "projection", by_id);
    BSON_APPEND_INT64(&command, "skip", SLICE_ENTRIES - 1);
    BSON_APPEND_INT64(&command, "limit", 1);
    BSON_APPEND_BOOL(&command, "singleBatch", true);
    sl_store_append_majority(&command);
    bson_destroy(by_id);
    int rc = sl_mongo_first(ledger->store->mongo, ledger->store->database, &command, &document,
                            sl_store_deadline(ledger->store), err);
    bson_destroy(&command);
    if (rc != SL_OK)
        return rc;
    if (sl_field_document(&document, "_id", &id))
        bson_copy_to(&id, ret_end);
    else
        bson_init(ret_end);
    bson_destroy(&document);
    return SL_OK;
}

static bson_t *sum_command(const struct sl_audit_ledger *ledger, const bson_t *end)
{
    bson_t match = BSON_INITIALIZER;
    append_range(&match, ledger, end);
    if (ledger->feed)
        BSON_APPEND_UTF8(&match, "feed", ledger->feed);
    // clang-format off
    bson_t *command = BCON_NEW(
        "aggregate", "ledger", "pipeline", "[",
            "{", "$match", BCON_DOCUMENT(&match), "}",
            "{", "$group", "{",
                "_id", "{", "run", "$_id.run", "attempt", "$_id.attempt", "entity", "$_id.entity", "}",
                "feed", "{", "$first", "$feed", "}",
                "batches", "{", "$sum", BCON_INT64(1), "}",
                "read", "{", "$sum", "$read", "}",
                "applied", "{", "$sum", "$applied", "}",
                "stale", "{", "$sum", "$stale", "}",
                "dead", "{", "$sum", "$dead", "}",
                "superseded", "{", "$sum", "$superseded", "}",
                "first", "{", "$min", "$at", "}",
                "last", "{", "$max", "$at", "}",
            "}", "}",
            "{", "$sort", "{", "_id", BCON_INT32(1), "}", "}",
        "]",
        "cursor", "{", "batchSize", BCON_INT32(SLICE_ENTRIES + 1), "}",
        "hint", "{", "_id", BCON_INT32(1), "}");
    // clang-format on
    bson_destroy(&match);
    sl_store_append_majority(command);
    return command;
}

static void close_slice(struct sl_audit_ledger *ledger)
{
    if (ledger->open)
        bson_destroy(&ledger->reply);
    ledger->open = false;
}

static int open_slice(struct sl_audit_ledger *ledger, struct sl_err *err)
{
    bson_t end;
    bson_iter_t at;
    close_slice(ledger);
    int rc = find_end(ledger, &end, err);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    ledger->last = rc == SL_NOTFOUND;
    bson_t *command = sum_command(ledger, ledger->last ? NULL : &end);
    rc = sl_mongo_command(ledger->store->mongo, ledger->store->database, command, &ledger->reply,
                          sl_store_deadline(ledger->store), err);
    bson_destroy(command);
    ledger->open = true;
    if (!ledger->last) {
        bson_destroy(&ledger->after);
        bson_copy_to(&end, &ledger->after);
        bson_destroy(&end);
    }
    if (rc != SL_OK)
        return rc;
    if (!bson_iter_init(&at, &ledger->reply) ||
        !bson_iter_find_descendant(&at, "cursor.firstBatch", &at) || !BSON_ITER_HOLDS_ARRAY(&at) ||
        !bson_iter_recurse(&at, &ledger->at))
        return sl_err_set(err, SL_CLOSED, "MongoDB answered without a cursor");
    return SL_OK;
}

static void read_part(const bson_t *document, struct sl_audit_part *ret)
{
    *ret = (struct sl_audit_part){
        .attempt = sl_field_int64(document, "_id.attempt", 0),
        .first_ms = sl_field_date_ms(document, "first"),
        .last_ms = sl_field_date_ms(document, "last"),
        .batches = (uint64_t)sl_field_int64(document, "batches", 0),
        .read = (uint64_t)sl_field_int64(document, "read", 0),
        .applied = (uint64_t)sl_field_int64(document, "applied", 0),
        .stale = (uint64_t)sl_field_int64(document, "stale", 0),
        .dead = (uint64_t)sl_field_int64(document, "dead", 0),
        .superseded = (uint64_t)sl_field_int64(document, "superseded", 0),
    };
    sl_field_text(document, "_id.run", ret->run, sizeof ret->run);
    sl_field_text(document, "_id.entity", ret->entity, sizeof ret->entity);
    sl_field_text(document, "feed", ret->feed, sizeof ret->feed);
}

/* The next part of the slices, cut where a slice was. */
static int read_piece(struct sl_audit_ledger *ledger, struct sl_audit_part *ret, bool *ret_have,
                      struct sl_err *err)
{
    const uint8_t *data;
    uint32_t length;
    bson_t document;
    for (;;) {
        if (ledger->open && bson_iter_next(&ledger->at)) {
            bson_iter_document(&ledger->at, &length, &data);
            *ret_have = bson_init_static(&document, data, length);
            if (*ret_have)
                read_part(&document, ret);
            return SL_OK;
        }
        if (ledger->open && ledger->last) {
            *ret_have = false;
            return SL_OK;
        }
        int rc = open_slice(ledger, err);
        if (rc != SL_OK)
            return rc;
    }
}

static bool same_part(const struct sl_audit_part *a, const struct sl_audit_part *b)
{
    return a->attempt == b->attempt && !strcmp(a->run, b->run) && !strcmp(a->entity, b->entity);
}

static void add_part(struct sl_audit_part *to, const struct sl_audit_part *more)
{
    to->batches += more->batches;
    to->read += more->read;
    to->applied += more->applied;
    to->stale += more->stale;
    to->dead += more->dead;
    to->superseded += more->superseded;
    if (more->last_ms > to->last_ms)
        to->last_ms = more->last_ms;
    if (more->first_ms < to->first_ms)
        to->first_ms = more->first_ms;
}

int sl_audit_ledger_next(struct sl_audit_ledger *ledger, struct sl_err *err)
{
    int rc = SL_OK;
    ledger->have = ledger->have_beyond;
    ledger->next = ledger->beyond;
    if (!ledger->have)
        rc = read_piece(ledger, &ledger->next, &ledger->have, err);
    ledger->have_beyond = false;
    while (rc == SL_OK && ledger->have) {
        rc = read_piece(ledger, &ledger->beyond, &ledger->have_beyond, err);
        if (rc != SL_OK || !ledger->have_beyond || !same_part(&ledger->next, &ledger->beyond))
            break;
        add_part(&ledger->next, &ledger->beyond);
    }
    return rc;
}

void sl_audit_ledger_init(struct sl_audit_ledger *ledger, struct sl_store *store, const char *feed,
                          const char *run)
{
    *ledger = (struct sl_audit_ledger){.store = store, .feed = feed, .run = run};
    bson_init(&ledger->after);
}

void sl_audit_ledger_done(struct sl_audit_ledger *ledger)
{
    close_slice(ledger);
    bson_destroy(&ledger->after);
}
