/* Documents of feeds that nobody names: of one that was renamed, say. */
#include "mongo/fields.h"
#include "store/store_own.h"

int sl_store_stranger_find(struct sl_state *state, const char *collection, const char *const *known,
                           uint64_t deadline_ms, char ret_feed[SL_NAME_MAX], struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    bson_t names = BSON_INITIALIZER, document;
    for (uint32_t i = 0; known[i]; i++)
        sl_array_append_text(&names, i, known[i]);
    bson_t *command =
        BCON_NEW("find", BCON_UTF8(collection), "filter", "{", "_sluice.feed", "{", "$type",
                 "string", "$nin", BCON_ARRAY(&names), "}", "_sluice.deleted", "{", "$exists",
                 BCON_BOOL(false), "}", "}", "projection", "{", "_sluice.feed", BCON_INT32(1), "}",
                 "limit", BCON_INT64(1), "singleBatch", BCON_BOOL(true));
    sl_store_append_majority(command);
    int rc =
        sl_mongo_first(store->mongo, store->data_database, command, &document, deadline_ms, err);
    bson_destroy(command);
    bson_destroy(&names);
    if (rc == SL_OK) {
        sl_field_text(&document, "_sluice.feed", ret_feed, SL_NAME_MAX);
        bson_destroy(&document);
    }
    if (rc == SL_OK || rc == SL_NOTFOUND)
        return rc;
    return sl_err_wrap(err, "looking for documents of other feeds in '%s'", collection);
}
