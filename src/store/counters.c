/* Where versions come from when the source has none. Counters, one a collection of data: version =
 * counter * 2^24 + row. They go by the server's time, so that those of two collections compare, and
 * rise whatever it does (docs/adr/0039). One that was lost resumes above the greatest version that
 * is stored. The clock, one for all: versions by order of arrival, reserved ahead of time. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "loop/fiber.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char COUNTERS[] = "counters";
static const char CLOCK[] = "clock"; /* its _id: counters have a point in theirs */

enum {
    SCAN_MS = 10 * 60 * 1000, /* reading a whole collection may take long */
    TIME_UNIT_MS = 10 * 1000,
    TIME_MAX = 500 * 1000 * 1000, /* in the year 2128; versions end at a counter of 2^29 */
};

/* One more than before, than above, or than the time, whichever is greatest; SL_NOTFOUND when there
 * is no counter and none is to be made. */
static int take(struct sl_store *store, const char *id, int64_t above, bool make, int64_t *ret,
                struct sl_err *err)
{
    bson_t document;
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    // clang-format off
    bson_t *time = BCON_NEW("$min", "[",
        "{", "$toLong", "{", "$divide", "[", "{", "$toLong", "$$NOW", "}",
                                             BCON_INT64(TIME_UNIT_MS), "]", "}", "}",
        BCON_INT64(TIME_MAX), "]");
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "value", "{", "$add", "[",
                "{", "$max", "[", "$value", BCON_INT64(above), BCON_DOCUMENT(time), "]", "}",
                BCON_INT64(1), "]", "}",
            "renewed", "$$REMOVE",
            "at", "$$NOW",
        "}", "}");
    // clang-format on
    int rc = sl_store_modify(store, COUNTERS, query, pipeline, make, &document, err);
    bson_destroy(time);
    bson_destroy(query);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return rc;
    *ret = sl_field_int64(&document, "value", 0);
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_version_max(struct sl_state *state, const char *collection, int64_t *ret,
                         struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    bson_t document;
    // clang-format off
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$match", "{", "_sluice.v", "{", "$type", "number", "}", "}", "}",
        "1", "{", "$group", "{", "_id", BCON_NULL, "greatest", "{", "$max", "$_sluice.v", "}", "}", "}");
    // clang-format on
    int rc = sl_store_aggregate(store, store->data_database, collection, pipeline,
                                sl_deadline_in(SCAN_MS), &document, err);
    bson_destroy(pipeline);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return sl_err_wrap(err, "greatest version in '%s'", collection);
    *ret = 0;
    if (rc == SL_NOTFOUND)
        return SL_OK;
    int64_t greatest = sl_field_int64(&document, "greatest", 0);
    *ret = greatest > 0 ? greatest : 0;
    bson_destroy(&document);
    return SL_OK;
}

static void name_counter(const struct sl_store *store, const char *collection, char *ret,
                         size_t size)
{
    snprintf(ret, size, "%s.%s", store->data_database, collection);
}

int sl_store_version_line(struct sl_state *state, const char *collection, const char *by,
                          bool replace, char ret[SL_NAME_MAX], struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    bson_t document;
    char id[400] = "versions:"; /* no database has a colon in its name */
    name_counter(store, collection, id + strlen(id), sizeof id - strlen(id));
    // clang-format off
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    bson_t *pipeline = BCON_NEW("0", "{", "$set", "{",
        "before", "{", "$ifNull", "[", "$by", BCON_UTF8(by), "]", "}",
        "by", "{", "$cond", "[", BCON_BOOL(replace), BCON_UTF8(by),
                                 "{", "$ifNull", "[", "$by", BCON_UTF8(by), "]", "}", "]", "}",
        "at", "{", "$cond", "[", BCON_BOOL(replace), "$$NOW", /* else looking again writes nothing */
                                 "{", "$ifNull", "[", "$at", "$$NOW", "]", "}", "]", "}",
    "}", "}");
    // clang-format on
    int rc = sl_store_modify(store, COUNTERS, query, pipeline, true, &document, err);
    bson_destroy(query);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return sl_err_wrap(err, "where the versions of '%s' come from", collection);
    sl_field_text(&document, "before", ret, SL_NAME_MAX);
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_counter_take(struct sl_state *state, const char *collection, int64_t above,
                          int64_t *ret, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    int64_t greatest = 0;
    char id[384];
    name_counter(store, collection, id, sizeof id);
    int rc = take(store, id, above, false, ret, err);
    if (rc == SL_NOTFOUND) {
        rc = sl_store_version_max(state, collection, &greatest, err);
        int64_t stored = greatest >> SL_VERSION_ROW_BITS;
        if (rc == SL_OK)
            rc = take(store, id, stored > above ? stored : above, true, ret, err);
        if (rc == SL_OK && stored)
            sl_log(SL_WARN, "a version counter was lost; it resumes above the stored versions",
                   SL_T("collection", collection), SL_N("counter", *ret));
    }
    return rc == SL_OK ? rc
                       : sl_err_wrap(err, "cannot take a version counter for '%s'", collection);
}

int sl_store_counter_renew(struct sl_state *state, const char *collection, int64_t counter,
                           int64_t *ret, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    bson_t document;
    char id[384];
    name_counter(store, collection, id, sizeof id);
    // clang-format off
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id),
        "$or", "[", "{", "value", BCON_INT64(counter), "}",
                    "{", "renewed", BCON_INT64(counter), "}", "]");
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "value", "{", "$add", "[", "$value", BCON_INT64(1), "]", "}",
            "renewed", BCON_INT64(counter),
            "at", "$$NOW",
        "}", "}");
    // clang-format on
    int rc = sl_store_modify(store, COUNTERS, query, pipeline, false, &document, err);
    bson_destroy(query);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot renew the version counter of '%s'", collection);
    *ret = sl_field_int64(&document, "value", 0);
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_clock_reserve(struct sl_state *state, int64_t until, int64_t *ret_previous,
                           struct sl_err *err)
{
    struct sl_err local = {0}; /* sl_store_modify reads its cause */
    struct sl_err *fault = err ? err : &local;
    bson_t document;
    bson_t *query = BCON_NEW("_id", BCON_UTF8(CLOCK));
    // clang-format off
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "previous", "{", "$ifNull", "[", "$value", BCON_INT64(0), "]", "}",
            "value", "{", "$max", "[", "$value", BCON_INT64(until), "]", "}",
            "at", "$$NOW",
        "}", "}");
    // clang-format on
    int rc = sl_store_modify(sl_store_of(state), COUNTERS, query, pipeline, true, &document, fault);
    bson_destroy(query);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return sl_err_wrap(fault, "cannot reserve versions");
    *ret_previous = sl_field_int64(&document, "previous", 0);
    bson_destroy(&document);
    return SL_OK;
}
