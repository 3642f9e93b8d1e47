/* Marks on feeds: suspect means that a delta was lost, so that a full export must follow. */
#include "base/clock.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char FEEDS[] = "feeds";

int sl_store_suspect_set(struct sl_state *state, const char *feed, const char *reason,
                         int64_t epoch, struct sl_err *err)
{
    // clang-format off
    bson_t *change =
        reason ? BCON_NEW("$set", "{", "suspect", BCON_UTF8(reason),
                                       "suspect_at", BCON_DATE_TIME(sl_wall_ms()),
                                       "epoch", BCON_INT64(epoch), "}")
               : BCON_NEW("$unset", "{", "suspect", BCON_INT32(1), "suspect_at", BCON_INT32(1), "}",
                          "$set", "{", "epoch", BCON_INT64(epoch), "}");
    // clang-format on
    int rc = sl_store_update_owned(sl_store_of(state), FEEDS, feed, change, epoch, NULL, err);
    bson_destroy(change);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot mark feed '%s'", feed);
}

int sl_store_suspect_get(struct sl_state *state, const char *feed,
                         char ret_reason[SL_ERR_TEXT_BYTES], struct sl_err *err)
{
    bson_t document;
    bson_t *query = BCON_NEW("_id", BCON_UTF8(feed), "suspect", "{", "$type", "string", "}");
    int rc = sl_store_find(sl_store_of(state), FEEDS, query, NULL, &document, err);
    bson_destroy(query);
    if (rc != SL_OK)
        return sl_err_wrap(err, "suspect mark of feed '%s'", feed);
    sl_field_text(&document, "suspect", ret_reason, SL_ERR_TEXT_BYTES);
    bson_destroy(&document);
    return SL_OK;
}
