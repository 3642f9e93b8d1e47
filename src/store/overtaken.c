/* What full reads have overtaken: one document a feed that was ever swept. */
#include <stdlib.h>

#include "base/mem.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char OVERTAKEN[] = "overtaken";

enum { FEEDS_MAX = 100 * 1000 };

int sl_store_overtake(struct sl_state *state, const struct sl_overtake *overtake,
                      struct sl_err *err)
{
    bson_t *query = BCON_NEW("_id", BCON_UTF8(overtake->feed));
    bson_t *change =
        BCON_NEW("$max", "{", "run", BCON_INT64(overtake->run), "full", BCON_INT64(overtake->full),
                 "}", "$currentDate", "{", "at", BCON_BOOL(true), "}");
    int rc = sl_store_update(sl_store_of(state), OVERTAKEN, query, change, true, NULL, err);
    bson_destroy(query);
    bson_destroy(change);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot tell appliers of a full read");
}

static void read_one(const bson_t *document, struct sl_overtake *ret)
{
    sl_field_text(document, "_id", ret->feed, sizeof ret->feed);
    ret->run = sl_field_int64(document, "run", 0);
    ret->full = sl_field_int64(document, "full", 0);
}

int sl_store_overtake_get(struct sl_state *state, const char *feed, struct sl_overtake *ret,
                          struct sl_err *err)
{
    bson_t document, *query = BCON_NEW("_id", BCON_UTF8(feed));
    int rc = sl_store_find(sl_store_of(state), OVERTAKEN, query, NULL, &document, err);
    bson_destroy(query);
    if (rc != SL_OK)
        return sl_err_wrap(err, "what full reads of '%s' have overtaken", feed);
    read_one(&document, ret);
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_overtakes(struct sl_state *state, struct sl_overtake **ret, size_t *ret_count,
                       struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_store_rows rows;
    bson_t document, all = BSON_INITIALIZER, *by_id = BCON_NEW("_id", BCON_INT32(1));
    const struct sl_store_query query = {.database = store->database,
                                         .collection = OVERTAKEN,
                                         .filter = &all,
                                         .sort = by_id,
                                         .limit = FEEDS_MAX};
    int rc = sl_store_find_many(store, &query, &rows, err);
    bson_destroy(by_id);
    if (rc != SL_OK)
        return sl_err_wrap(err, "what full reads have overtaken");
    struct sl_overtake *known = NULL;
    size_t count = 0, room = 0;
    while (sl_store_rows_next(&rows, &document)) {
        if (count == room) {
            room = room ? room * 2 : 16;
            known = sl_realloc(known, room * sizeof *known);
        }
        read_one(&document, &known[count++]);
    }
    sl_store_rows_done(&rows);
    *ret = known;
    *ret_count = count;
    return SL_OK;
}
