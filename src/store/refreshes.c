/* Full refreshes that were asked for: one document a feed, the newest one. */
#include <string.h>

#include "base/clock.h"
#include "mongo/error.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char REFRESHES[] = "refreshes";

/* --- documents --- */

static void append_parts(bson_t *document, const struct sl_refresh *refresh)
{
    bson_t parts, one;
    SL_ARRAY_BEGIN(document, "parts", &parts);
    for (unsigned i = 0; i < refresh->part_count; i++) {
        const struct sl_refresh_part *part = &refresh->parts[i];
        sl_array_begin_document(&parts, i, &one);
        BSON_APPEND_UTF8(&one, "collection", part->collection);
        BSON_APPEND_INT64(&one, "floor", part->floor);
        BSON_APPEND_INT64(&one, "live", (int64_t)part->live);
        BSON_APPEND_INT64(&one, "unseen", (int64_t)part->unseen);
        if (part->partial)
            BSON_APPEND_BOOL(&one, "partial", true);
        bson_append_document_end(&parts, &one);
    }
    bson_append_array_end(document, &parts);
}

static void read_parts(const bson_t *document, struct sl_refresh *ret)
{
    bson_iter_t at, one;
    bson_t view;
    if (!bson_iter_init_find(&at, document, "parts") || !BSON_ITER_HOLDS_ARRAY(&at) ||
        !bson_iter_recurse(&at, &one))
        return;
    while (ret->part_count < SL_REFRESH_PARTS_MAX && bson_iter_next(&one)) {
        struct sl_refresh_part *part = &ret->parts[ret->part_count];
        const uint8_t *data;
        uint32_t length;
        if (!BSON_ITER_HOLDS_DOCUMENT(&one))
            continue;
        bson_iter_document(&one, &length, &data);
        if (!bson_init_static(&view, data, length))
            continue;
        sl_field_text(&view, "collection", part->collection, sizeof part->collection);
        part->floor = sl_field_int64(&view, "floor", 0);
        part->live = (uint64_t)sl_field_int64(&view, "live", 0);
        part->unseen = (uint64_t)sl_field_int64(&view, "unseen", 0);
        part->partial = sl_field_bool(&view, "partial");
        ret->part_count++;
    }
}

static int from_document(const bson_t *document, struct sl_refresh *ret, struct sl_err *err)
{
    char state[32];
    memset(ret, 0, sizeof *ret);
    sl_field_text(document, "_id", ret->feed, sizeof ret->feed);
    ret->number = sl_field_int64(document, "number", 0);
    ret->dry_run = sl_field_bool(document, "dry_run");
    ret->force = sl_field_bool(document, "force");
    sl_field_text(document, "reset", ret->reset, sizeof ret->reset);
    sl_field_text(document, "read", ret->read, sizeof ret->read);
    sl_field_text(document, "note", ret->note, sizeof ret->note);
    ret->epoch = sl_field_int64(document, "epoch", 0);
    ret->asked_ms = sl_field_date_ms(document, "asked_at");
    ret->state_ms = sl_field_date_ms(document, "state_at");
    sl_field_text(document, "database", ret->database, sizeof ret->database);
    read_parts(document, ret);
    sl_field_text(document, "state", state, sizeof state);
    for (int i = SL_REFRESH_ASKED; i <= SL_REFRESH_FAILED; i++)
        if (!strcmp(state, sl_refresh_state_name((enum sl_refresh_state)i))) {
            ret->state = (enum sl_refresh_state)i;
            return SL_OK;
        }
    return sl_err_set(err, SL_REJECTED,
                      "the refresh of '%s' is in the state '%s', which this sluice does not know: "
                      "was a newer one at work here?",
                      ret->feed, state);
}

/* --- calls --- */

int sl_store_refresh_get(struct sl_state *state, const char *feed, struct sl_refresh *ret,
                         struct sl_err *err)
{
    bson_t document, *query = BCON_NEW("_id", BCON_UTF8(feed));
    int rc = sl_store_find(sl_store_of(state), REFRESHES, query, NULL, &document, err);
    bson_destroy(query);
    if (rc != SL_OK)
        return sl_err_wrap(err, "refresh of feed '%s'", feed);
    rc = from_document(&document, ret, err);
    bson_destroy(&document);
    return rc;
}

/* Its epoch begins anew: owners of different sources count differently. */
static bson_t *asking(const struct sl_refresh *wanted)
{
    bson_t *change = BCON_NEW("$inc", "{", "number", BCON_INT64(1), "}", "$set", "{", "state",
                              BCON_UTF8(sl_refresh_state_name(SL_REFRESH_ASKED)), "dry_run",
                              BCON_BOOL(wanted->dry_run), "force", BCON_BOOL(wanted->force),
                              "reset", BCON_UTF8(wanted->reset), "epoch", BCON_INT64(0), "asked_at",
                              BCON_DATE_TIME(sl_wall_ms()), "state_at",
                              BCON_DATE_TIME(sl_wall_ms()), "}", "$unset", "{", "read",
                              BCON_INT32(1), "note", BCON_INT32(1), "parts", BCON_INT32(1), "}");
    return change;
}

static bson_t *over(const char *feed)
{
    return BCON_NEW("_id", BCON_UTF8(feed), "state", "{", "$in", "[",
                    BCON_UTF8(sl_refresh_state_name(SL_REFRESH_DONE)),
                    BCON_UTF8(sl_refresh_state_name(SL_REFRESH_REFUSED)),
                    BCON_UTF8(sl_refresh_state_name(SL_REFRESH_FAILED)), "]", "}");
}

int sl_store_refresh_ask(struct sl_state *state, const struct sl_refresh *wanted,
                         struct sl_refresh *ret, bool *ret_joined, struct sl_err *err)
{
    struct sl_err local = {0}; /* its cause is read below */
    struct sl_err *fault = err ? err : &local;
    bson_t *query = over(wanted->feed), *change = asking(wanted);
    int rc = sl_store_update(sl_store_of(state), REFRESHES, query, change, true, NULL, fault);
    bson_destroy(query);
    bson_destroy(change);
    bool joined = rc == SL_REJECTED && fault->cause == SL_MONGO_DUPLICATE_KEY; /* one is open */
    if (rc != SL_OK && !joined)
        return sl_err_wrap(fault, "cannot ask for a refresh of feed '%s'", wanted->feed);
    rc = sl_store_refresh_get(state, wanted->feed, ret, err);
    if (rc == SL_OK)
        *ret_joined = joined;
    return rc;
}

int sl_store_refresh_save(struct sl_state *state, const struct sl_refresh *refresh, int64_t epoch,
                          struct sl_err *err)
{
    int64_t matched = 0;
    bson_t fields = BSON_INITIALIZER, change = BSON_INITIALIZER;
    bson_t *query = BCON_NEW("_id", BCON_UTF8(refresh->feed), "number", BCON_INT64(refresh->number),
                             "epoch", "{", "$lte", BCON_INT64(epoch), "}");
    BSON_APPEND_UTF8(&fields, "state", sl_refresh_state_name(refresh->state));
    BSON_APPEND_DATE_TIME(&fields, "state_at", sl_wall_ms());
    BSON_APPEND_UTF8(&fields, "read", refresh->read);
    BSON_APPEND_UTF8(&fields, "note", refresh->note);
    BSON_APPEND_INT64(&fields, "epoch", epoch);
    BSON_APPEND_UTF8(&fields, "database", refresh->database);
    append_parts(&fields, refresh);
    BSON_APPEND_DOCUMENT(&change, "$set", &fields);
    int rc = sl_store_update(sl_store_of(state), REFRESHES, query, &change, false, &matched, err);
    bson_destroy(&fields);
    bson_destroy(&change);
    bson_destroy(query);
    if (rc == SL_OK && !matched)
        rc = sl_err_set(err, SL_REJECTED, "the feed has another owner, or another one was asked");
    return rc == SL_OK ? rc
                       : sl_err_wrap(err, "cannot note the refresh of feed '%s'", refresh->feed);
}

static bson_t *open_ones(const char *const *feeds, size_t count)
{
    bson_t *filter = bson_new(), id, names;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &id);
    SL_ARRAY_BEGIN(&id, "$in", &names);
    for (size_t i = 0; i < count; i++)
        sl_array_append_text(&names, i, feeds[i]);
    bson_append_array_end(&id, &names);
    bson_append_document_end(filter, &id);
    BCON_APPEND(filter, "state", "{", "$in", "[",
                BCON_UTF8(sl_refresh_state_name(SL_REFRESH_ASKED)),
                BCON_UTF8(sl_refresh_state_name(SL_REFRESH_READING)),
                BCON_UTF8(sl_refresh_state_name(SL_REFRESH_SWEEPING)), "]", "}");
    return filter;
}

/* Others of no feed here may be open for ever: they must not be in the way of ours. */
int sl_store_refreshes_open(struct sl_state *state, const char *const *feeds, size_t count,
                            bool *ret_open, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_store_rows rows;
    bson_t *filter = open_ones(feeds, count);
    bson_t *fields = BCON_NEW("_id", BCON_INT32(1)), document;
    const struct sl_store_query query = {.database = store->database,
                                         .collection = REFRESHES,
                                         .filter = filter,
                                         .fields = fields,
                                         .limit = (unsigned)count};
    int rc = sl_store_find_many(store, &query, &rows, err);
    bson_destroy(filter);
    bson_destroy(fields);
    if (rc != SL_OK)
        return sl_err_wrap(err, "refreshes that were asked for");
    memset(ret_open, 0, count * sizeof *ret_open);
    while (sl_store_rows_next(&rows, &document)) {
        char name[SL_NAME_MAX];
        sl_field_text(&document, "_id", name, sizeof name);
        for (size_t i = 0; i < count; i++)
            ret_open[i] |= !strcmp(feeds[i], name);
    }
    sl_store_rows_done(&rows);
    return SL_OK;
}
