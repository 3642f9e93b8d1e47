/* Checkpoints: where the changes of each feed without end have been read to; and the marks, one a
 * source: the greatest version that may have been published. The epoch of the writer's lease keeps
 * a process that lost its source from setting back what its successor wrote. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char CHECKPOINTS[] = "checkpoints";

enum { ID_BYTES = SL_NAME_MAX * 2 };

static int find(struct sl_store *store, const char *id, bson_t *ret_document, struct sl_err *err)
{
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    int rc = sl_store_find(store, CHECKPOINTS, query, NULL, ret_document, err);
    bson_destroy(query);
    return rc;
}

/* --- checkpoints --- */

/* A text of any length on the heap; NULL when it is missing. */
static char *text_of(const bson_t *document, const char *name)
{
    bson_iter_t at;
    if (!bson_iter_init_find(&at, document, name) || !BSON_ITER_HOLDS_UTF8(&at))
        return NULL;
    return sl_strdup(bson_iter_utf8(&at, NULL));
}

static void read_checkpoint(const bson_t *document, struct sl_checkpoint *ret)
{
    *ret = (struct sl_checkpoint){
        .newest = text_of(document, "newest"),
        .safe = text_of(document, "safe"),
        .run_number = sl_field_int64(document, "run_number", 0),
        .stored_run = sl_field_int64(document, "run_number", 0),
        .floor = sl_field_int64(document, "floor", 0),
        .full_number = sl_field_int64(document, "full_number", 0),
        .full_at_ms = sl_field_date_ms(document, "full_at"),
        .full_after = sl_field_int64(document, "full_after", 0),
        .page_rows = sl_field_int64(document, "page_rows", 0),
        .full_dead = sl_field_bool(document, "full_dead"), /* a number: it once was */
        .behind = sl_field_bool(document, "behind"),
        .partial = sl_field_bool(document, "partial"),
        .query = text_of(document, "query"),
        .fence_base = sl_field_int64(document, "fence_base", 0),
        .epoch = sl_field_int64(document, "epoch", 0),
        .refresh = sl_field_int64(document, "refresh", 0),
        .kept = text_of(document, "kept"),
    };
    sl_field_text(document, "source", ret->source, sizeof ret->source);
    sl_field_text(document, "reading", ret->reading, sizeof ret->reading);
    sl_field_text(document, "sweeping", ret->sweeping, sizeof ret->sweeping);
    sl_field_text(document, "note", ret->note, sizeof ret->note);
}

int sl_store_checkpoint_load(struct sl_state *state, const char *feed, struct sl_checkpoint *ret,
                             struct sl_err *err)
{
    char id[ID_BYTES];
    bson_t document;
    snprintf(id, sizeof id, "feed:%s", feed);
    int rc = find(sl_store_of(state), id, &document, err);
    if (rc != SL_OK)
        return sl_err_wrap(err, "checkpoint of feed '%s'", feed);
    read_checkpoint(&document, ret);
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_checkpoint_take(struct sl_state *state, const char *feed, int64_t epoch,
                             struct sl_checkpoint *ret, struct sl_err *err)
{
    char id[ID_BYTES];
    bson_t document;
    snprintf(id, sizeof id, "feed:%s", feed);
    bson_t *change =
        BCON_NEW("$set", "{", "epoch", BCON_INT64(epoch), "at", BCON_DATE_TIME(sl_wall_ms()), "}");
    int rc =
        sl_store_update_owned(sl_store_of(state), CHECKPOINTS, id, change, epoch, &document, err);
    bson_destroy(change);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot take the checkpoint of feed '%s'", feed);
    read_checkpoint(&document, ret);
    bson_destroy(&document);
    return SL_OK;
}

static void append_text(bson_t *document, const char *name, const char *text)
{
    if (text && *text)
        bson_append_utf8(document, name, -1, text, -1);
}

/* Over one that is there, and has a run of that number or a greater one. */
static int save_over(struct sl_store *store, const char *id, const bson_t *document, int64_t run,
                     int64_t epoch, struct sl_err *err)
{
    int64_t matched = 0;
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id), "epoch", "{", "$lte", BCON_INT64(epoch), "}",
                             "run_number", "{", "$gte", BCON_INT64(run), "}");
    int rc = sl_store_update(store, CHECKPOINTS, query, document, false, &matched, err);
    bson_destroy(query);
    if (rc == SL_OK && !matched)
        rc =
            sl_err_set(err, SL_REJECTED,
                       "'%s' belongs to another process by now, or was restored from a backup", id);
    return rc;
}

int sl_store_checkpoint_save(struct sl_state *state, const char *feed,
                             const struct sl_checkpoint *checkpoint, int64_t epoch,
                             struct sl_err *err)
{
    char id[ID_BYTES];
    bson_t document = BSON_INITIALIZER;
    snprintf(id, sizeof id, "feed:%s", feed);
    BSON_APPEND_UTF8(&document, "_id", id);
    append_text(&document, "newest", checkpoint->newest);
    append_text(&document, "safe", checkpoint->safe);
    BSON_APPEND_INT64(&document, "run_number", checkpoint->run_number);
    BSON_APPEND_INT64(&document, "full_number", checkpoint->full_number);
    if (checkpoint->full_at_ms)
        BSON_APPEND_DATE_TIME(&document, "full_at", checkpoint->full_at_ms);
    BSON_APPEND_INT64(&document, "full_after", checkpoint->full_after);
    BSON_APPEND_INT64(&document, "page_rows", checkpoint->page_rows);
    BSON_APPEND_INT64(&document, "full_dead", checkpoint->full_dead);
    if (checkpoint->behind)
        BSON_APPEND_BOOL(&document, "behind", true);
    if (checkpoint->partial)
        BSON_APPEND_BOOL(&document, "partial", true);
    append_text(&document, "query", checkpoint->query);
    append_text(&document, "source", checkpoint->source);
    BSON_APPEND_INT64(&document, "fence_base", checkpoint->fence_base);
    append_text(&document, "reading", checkpoint->reading);
    append_text(&document, "sweeping", checkpoint->sweeping);
    BSON_APPEND_INT64(&document, "floor", checkpoint->floor);
    append_text(&document, "note", checkpoint->note);
    BSON_APPEND_INT64(&document, "refresh", checkpoint->refresh);
    append_text(&document, "kept", checkpoint->kept);
    BSON_APPEND_INT64(&document, "epoch", epoch);
    BSON_APPEND_DATE_TIME(&document, "at", sl_wall_ms());
    struct sl_store *store = sl_store_of(state);
    int rc = checkpoint->stored_run
                 ? save_over(store, id, &document, checkpoint->stored_run, epoch, err)
                 : sl_store_update_owned(store, CHECKPOINTS, id, &document, epoch, NULL, err);
    bson_destroy(&document);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot save the checkpoint of feed '%s'", feed);
}

/* --- marks --- */

static void read_mark(const bson_t *document, struct sl_mark *ret)
{
    ret->value = sl_field_int64(document, "value", 0);
    ret->offset = sl_field_int64(document, "offset", 0);
    sl_field_text(document, "organisation", ret->organisation, sizeof ret->organisation);
}

int sl_store_mark_get(struct sl_state *state, const char *source, struct sl_mark *ret,
                      struct sl_err *err)
{
    char id[ID_BYTES];
    bson_t document;
    snprintf(id, sizeof id, "mark:%s", source);
    int rc = find(sl_store_of(state), id, &document, err);
    if (rc != SL_OK)
        return sl_err_wrap(err, "mark of source '%s'", source);
    read_mark(&document, ret);
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_mark_raise(struct sl_state *state, const char *source, int64_t value, int64_t epoch,
                        struct sl_mark *ret, struct sl_err *err)
{
    char id[ID_BYTES];
    bson_t document;
    snprintf(id, sizeof id, "mark:%s", source);
    bson_t *change = BCON_NEW("$max", "{", "value", BCON_INT64(value), "}", "$set", "{", "epoch",
                              BCON_INT64(epoch), "at", BCON_DATE_TIME(sl_wall_ms()), "}");
    int rc =
        sl_store_update_owned(sl_store_of(state), CHECKPOINTS, id, change, epoch, &document, err);
    bson_destroy(change);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot raise the mark of source '%s'", source);
    if (ret)
        read_mark(&document, ret);
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_mark_sign(struct sl_state *state, const char *source, const char *organisation,
                       int64_t epoch, struct sl_err *err)
{
    char id[ID_BYTES];
    snprintf(id, sizeof id, "mark:%s", source);
    bson_t *change = BCON_NEW("$set", "{", "organisation", BCON_UTF8(organisation), "epoch",
                              BCON_INT64(epoch), "at", BCON_DATE_TIME(sl_wall_ms()), "}");
    int rc = sl_store_update_owned(sl_store_of(state), CHECKPOINTS, id, change, epoch, NULL, err);
    bson_destroy(change);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot note the organisation of '%s'", source);
}

/* Names of resets are few and short: they are kept, so that one that comes late does nothing. */
static bson_t *reset_pipeline(const char *name, int64_t value, int64_t epoch)
{
    // clang-format off
    bson_t *known = BCON_NEW(
        "$in", "[", "{", "$literal", BCON_UTF8(name), "}",
                    "{", "$ifNull", "[", "$resets", "[", "]", "]", "}", "]");
    bson_t *greatest = BCON_NEW(
        "$max", "[", "{", "$ifNull", "[", "$value", BCON_INT64(0), "]", "}", BCON_INT64(value), "]");
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "offset", "{", "$cond", "[", BCON_DOCUMENT(known),
                "{", "$ifNull", "[", "$offset", BCON_INT64(0), "]", "}",
                "{", "$add", "[", BCON_DOCUMENT(greatest), BCON_INT64(1), "]", "}", "]", "}",
            "value", BCON_DOCUMENT(greatest),
            "resets", "{", "$setUnion", "[",
                "{", "$ifNull", "[", "$resets", "[", "]", "]", "}",
                "[", "{", "$literal", BCON_UTF8(name), "}", "]", "]", "}",
            "epoch", BCON_INT64(epoch),
            "at", "$$NOW",
        "}", "}");
    // clang-format on
    bson_destroy(known);
    bson_destroy(greatest);
    return pipeline;
}

int sl_store_mark_reset(struct sl_state *state, const char *source, const char *name, int64_t value,
                        int64_t epoch, int64_t *ret_offset, struct sl_err *err)
{
    char id[ID_BYTES];
    bson_t document;
    snprintf(id, sizeof id, "mark:%s", source);
    bson_t *pipeline = reset_pipeline(name, value, epoch);
    int rc =
        sl_store_update_owned(sl_store_of(state), CHECKPOINTS, id, pipeline, epoch, &document, err);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot reset the versions of source '%s'", source);
    *ret_offset = sl_field_int64(&document, "offset", 0);
    bson_destroy(&document);
    return SL_OK;
}
