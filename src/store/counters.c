/* Version counters, one a collection of data: version = counter * 2^24 + row. A counter that was
 * lost resumes above the greatest version that is stored. */
#include <stdio.h>

#include "base/log.h"
#include "loop/fiber.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char COUNTERS[] = "counters";

enum {
    SCAN_MS = 10 * 60 * 1000, /* reading a whole collection may take long */
};

/* One more than before, or than base, whichever is greater; SL_NOTFOUND when there is no counter
 * and base is negative. */
static int take(struct sl_store *store, const char *id, int64_t base, int64_t *ret,
                struct sl_err *err)
{
    bson_t document;
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    // clang-format off
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "value", "{", "$add", "[",
                "{", "$max", "[", "{", "$ifNull", "[", "$value", BCON_INT64(0), "]", "}",
                                  BCON_INT64(base), "]", "}",
                BCON_INT64(1), "]", "}",
            "at", "$$NOW",
        "}", "}");
    // clang-format on
    int rc = sl_store_modify(store, COUNTERS, query, pipeline, base >= 0, &document, err);
    bson_destroy(query);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return rc;
    *ret = sl_field_int64(&document, "value", 0);
    bson_destroy(&document);
    return SL_OK;
}

/* The counter of the greatest version in the collection; 0 when it is empty or does not exist. */
static int stored_counter(struct sl_store *store, const char *collection, int64_t *ret,
                          struct sl_err *err)
{
    bson_t document;
    // clang-format off
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$match", "{", "_sluice.v", "{", "$type", "number", "}", "}", "}",
        "1", "{", "$group", "{", "_id", BCON_NULL, "greatest", "{", "$max", "$_sluice.v", "}", "}", "}");
    // clang-format on
    int rc = sl_store_aggregate(store, store->data_database, collection, pipeline,
                                sl_deadline_in(SCAN_MS), &document, err);
    bson_destroy(pipeline);
    *ret = 0;
    if (rc == SL_NOTFOUND)
        return SL_OK;
    if (rc != SL_OK)
        return rc;
    int64_t greatest = sl_field_int64(&document, "greatest", 0);
    *ret = greatest > 0 ? greatest >> SL_VERSION_ROW_BITS : 0;
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_counter_take(struct sl_state *state, const char *collection, int64_t *ret,
                          struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    char id[384];
    snprintf(id, sizeof id, "%s.%s", store->data_database, collection);

    int64_t base = 0;
    int rc = take(store, id, -1, ret, err);
    if (rc == SL_NOTFOUND) {
        rc = stored_counter(store, collection, &base, err);
        if (rc == SL_OK)
            rc = take(store, id, base, ret, err);
        if (rc == SL_OK && base)
            sl_log(SL_WARN, "a version counter was lost; it resumes above the stored versions",
                   SL_T("collection", collection), SL_N("counter", *ret));
    }
    return rc == SL_OK ? rc
                       : sl_err_wrap(err, "cannot take a version counter for '%s'", collection);
}
