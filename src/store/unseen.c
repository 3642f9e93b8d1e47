/* What a full read did not see: documents to be swept. The collection is walked in slices of its
 * _id, each a short command, so that no command outlasts its time limit however large the
 * collection is, and none needs an index but that of _id. */
#include "mongo/fields.h"
#include "store/store_own.h"

enum {
    SLICE_DOCUMENTS = 20000,
    REPLY_FULL_BYTES =
        8 * 1024 * 1024, /* a reply this large may have been cut: it ends at 16 MiB */
};

/* Where the walk is: the slice lies behind after and goes up to end. */
struct walk {
    struct sl_store *store;
    const struct sl_unseen *of;
    struct sl_buf after, end; /* ids */
    bool last;                /* the slice has no end: it goes to the last document */
};

static struct walk walk_from(struct sl_state *state, const struct sl_unseen *of, const char *after)
{
    struct walk walk = {.store = sl_store_of(state), .of = of};
    sl_buf_init(&walk.after);
    sl_buf_init(&walk.end);
    sl_buf_add_text(&walk.after, after);
    return walk;
}

static void walk_done(struct walk *walk)
{
    sl_buf_done(&walk->after);
    sl_buf_done(&walk->end);
}

static void set_id(struct sl_buf *buf, struct sl_str id)
{
    sl_buf_clear(buf);
    sl_buf_add(buf, id.at, id.length);
}

/* The _id of a found document, a view; empty when it is no text, which no id of ours is. */
static struct sl_str id_of(const bson_t *document)
{
    bson_iter_t at;
    uint32_t length = 0;
    if (!bson_iter_init_find(&at, document, "_id") || !BSON_ITER_HOLDS_UTF8(&at))
        return sl_str_of("");
    const char *text = bson_iter_utf8(&at, &length);
    return (struct sl_str){text, length};
}

static void append_id_range(bson_t *filter, const struct walk *walk)
{
    bson_t range;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &range);
    bson_append_utf8(&range, "$gt", -1, walk->after.data ? walk->after.data : "",
                     (int)walk->after.length);
    if (!walk->last)
        bson_append_utf8(&range, "$lte", -1, walk->end.data, (int)walk->end.length);
    bson_append_document_end(filter, &range);
}

/* Finds the end of the slice that begins behind walk->after, by the index of _id alone. */
static int find_end(struct walk *walk, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, filter, document;
    bson_t *by_id = BCON_NEW("_id", BCON_INT32(1));
    walk->last = true;
    BSON_APPEND_UTF8(&command, "find", walk->of->collection);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
    append_id_range(&filter, walk);
    bson_append_document_end(&command, &filter);
    BSON_APPEND_DOCUMENT(&command, "sort", by_id);
    BSON_APPEND_DOCUMENT(&command, "projection", by_id);
    BSON_APPEND_INT64(&command, "skip", SLICE_DOCUMENTS - 1);
    BSON_APPEND_INT64(&command, "limit", 1);
    BSON_APPEND_BOOL(&command, "singleBatch", true);
    sl_store_append_majority(&command);
    bson_destroy(by_id);
    int rc = sl_mongo_first(walk->store->mongo, walk->store->data_database, &command, &document,
                            sl_store_deadline(walk->store), err);
    bson_destroy(&command);
    if (rc == SL_NOTFOUND)
        return SL_OK;
    if (rc != SL_OK)
        return rc;
    set_id(&walk->end, id_of(&document));
    walk->last = false;
    bson_destroy(&document);
    return SL_OK;
}

static void go_on_behind_end(struct walk *walk)
{
    struct sl_buf behind = walk->end;
    walk->end = walk->after;
    walk->after = behind;
}

/* --- counting --- */

static bson_t *count_pipeline(const struct walk *walk)
{
    bson_t *match = BCON_NEW("_sluice.feed", BCON_UTF8(walk->of->feed), "_sluice.deleted", "{",
                             "$exists", BCON_BOOL(false), "}");
    append_id_range(match, walk);
    // clang-format off
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$match", BCON_DOCUMENT(match), "}",
        "1", "{", "$group", "{",
            "_id", BCON_NULL,
            "live", "{", "$sum", BCON_INT64(1), "}",
            "unseen", "{", "$sum", "{", "$cond", "[",
                "{", "$and", "[",
                    "{", "$ne", "[", "$_sluice.seen", "{", "$literal", BCON_UTF8(walk->of->seen), "}", "]", "}",
                    /* above null and up to a number: a number */
                    "{", "$gt", "[", "$_sluice.v", BCON_NULL, "]", "}",
                    "{", "$lte", "[", "$_sluice.v", BCON_INT64(walk->of->floor), "]", "}",
                "]", "}", BCON_INT64(1), BCON_INT64(0), "]", "}", "}",
        "}", "}");
    // clang-format on
    bson_destroy(match);
    return pipeline;
}

static int count_slice(const struct walk *walk, uint64_t *unseen, uint64_t *live,
                       struct sl_err *err)
{
    bson_t *pipeline = count_pipeline(walk);
    bson_t *command =
        BCON_NEW("aggregate", BCON_UTF8(walk->of->collection), "pipeline", BCON_ARRAY(pipeline),
                 "cursor", "{", "}", "hint", "{", "_id", BCON_INT32(1), "}");
    bson_t sums;
    sl_store_append_majority(command);
    int rc = sl_mongo_first(walk->store->mongo, walk->store->data_database, command, &sums,
                            sl_store_deadline(walk->store), err);
    bson_destroy(pipeline);
    bson_destroy(command);
    if (rc == SL_NOTFOUND) /* none of the feed in this slice */
        return SL_OK;
    if (rc != SL_OK)
        return rc;
    *live += (uint64_t)sl_field_int64(&sums, "live", 0);
    *unseen += (uint64_t)sl_field_int64(&sums, "unseen", 0);
    bson_destroy(&sums);
    return SL_OK;
}

int sl_store_unseen_count(struct sl_state *state, const struct sl_unseen *of, uint64_t *ret_unseen,
                          uint64_t *ret_live, struct sl_err *err)
{
    struct walk walk = walk_from(state, of, "");
    uint64_t unseen = 0, live = 0;
    int rc;
    do {
        rc = find_end(&walk, err);
        if (rc == SL_OK)
            rc = count_slice(&walk, &unseen, &live, err);
        go_on_behind_end(&walk);
    } while (rc == SL_OK && !walk.last);
    walk_done(&walk);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot count what '%s' did not see in '%s'", of->seen,
                           of->collection);
    *ret_unseen = unseen;
    *ret_live = live;
    return SL_OK;
}

/* --- finding --- */

static bson_t *unseen_filter(const struct walk *walk)
{
    bson_t *filter =
        BCON_NEW("_sluice.feed", BCON_UTF8(walk->of->feed), "_sluice.deleted", "{", "$exists",
                 BCON_BOOL(false), "}", "_sluice.seen", "{", "$ne", BCON_UTF8(walk->of->seen), "}",
                 "_sluice.v", "{", "$lte", BCON_INT64(walk->of->floor), "}");
    append_id_range(filter, walk);
    return filter;
}

/* Appends the slice's ids, at most max of them, and moves walk->after behind the last one.
 * *ret_more: the slice may hold more. */
static int take_ids(struct walk *walk, unsigned max, struct sl_arena *arena, struct sl_str *ids,
                    unsigned *count, bool *ret_more, struct sl_err *err)
{
    struct sl_store_rows rows;
    bson_t document, *filter = unseen_filter(walk), *by_id = BCON_NEW("_id", BCON_INT32(1));
    struct sl_store_query query = {.database = walk->store->data_database,
                                   .collection = walk->of->collection,
                                   .filter = filter,
                                   .sort = by_id,
                                   .fields = by_id,
                                   .hint = by_id,
                                   .limit = max - *count};
    int rc = sl_store_find_many(walk->store, &query, &rows, err);
    bson_destroy(filter);
    bson_destroy(by_id);
    if (rc != SL_OK)
        return rc;
    unsigned found = 0;
    while (found < query.limit && sl_store_rows_next(&rows, &document)) {
        struct sl_str id = id_of(&document);
        found++;
        set_id(&walk->after, id);
        if (memchr(id.at, 0, id.length)) /* the caller could not go on behind it: it stays */
            continue;
        ids[(*count)++] = (struct sl_str){sl_arena_text(arena, id.at, id.length), id.length};
    }
    *ret_more = found == query.limit || rows.reply.len > REPLY_FULL_BYTES;
    sl_store_rows_done(&rows);
    return SL_OK;
}

int sl_store_unseen_ids(struct sl_state *state, const struct sl_unseen *of, const char *after,
                        unsigned max, struct sl_arena *arena, struct sl_str *ret_ids,
                        unsigned *ret_count, struct sl_err *err)
{
    struct walk walk = walk_from(state, of, after);
    unsigned count = 0;
    int rc = SL_OK;
    while (rc == SL_OK && count < max) {
        bool more = true;
        rc = find_end(&walk, err);
        while (rc == SL_OK && more && count < max)
            rc = take_ids(&walk, max, arena, ret_ids, &count, &more, err);
        if (walk.last && !more)
            break;
        if (!more)
            go_on_behind_end(&walk);
    }
    walk_done(&walk);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot find what '%s' did not see in '%s'", of->seen,
                           of->collection);
    *ret_count = count;
    return SL_OK;
}
