/* Dead letters: rows that cannot be delivered, kept where they can be found, read and replayed. */
#include "base/clock.h"
#include "loop/fiber.h"
#include "mongo/fields.h"
#include "store/dead_document.h"
#include "store/store_own.h"

static const char DEAD[] = "dead";

enum {
    COMMAND_BYTES = 1024 * 1024,
    COMMAND_LETTERS = 1000,
};

/* By feed, the newest first; and the one that lets the server remove those whose time is over. */
static int make_index(struct sl_store *store, struct sl_err *err)
{
    // clang-format off
    bson_t *indexes = BCON_NEW(
        "0", "{", "name", "feed_newest",
            "key", "{", "feed", BCON_INT32(1), "at", BCON_INT32(-1), "}", "}",
        "1", "{", "name", "expiry",
            "key", "{", "expires_at", BCON_INT32(1), "}", "expireAfterSeconds", BCON_INT64(0), "}");
    // clang-format on
    int rc = sl_store_index(store, &store->dead_ready, DEAD, indexes, err);
    bson_destroy(indexes);
    return rc;
}

/* A key that was refused twice in one run has one letter, that of its newest version: replaying an
 * older one would lose the newer. */
static void append_unless_newer(bson_t *update, const bson_t *letter, int64_t version)
{
    BCON_APPEND(update, "u", "[", "{", "$replaceWith", "{", "$cond", "[", "{", "$gt", "[", "{",
                "$ifNull", "[", BCON_UTF8("$v"), BCON_INT64(-1), "]", "}", BCON_INT64(version), "]",
                "}", BCON_UTF8("$$ROOT"), "{", "$literal", BCON_DOCUMENT(letter), "}", "]", "}",
                "}", "]");
}

/* Appends the update that stores the letter of this row, or stores it again. */
static void append_update(bson_t *updates, uint32_t index, const struct sl_origin *origin,
                          const struct sl_dead *dead, const bson_t *letter)
{
    bson_t update, query;
    sl_array_begin_document(updates, index, &update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "q", &query);
    sl_dead_append_id(&query, "_id", origin, dead);
    bson_append_document_end(&update, &query);
    if (dead->versioned)
        append_unless_newer(&update, letter, dead->version);
    else
        BSON_APPEND_DOCUMENT(&update, "u", letter);
    BSON_APPEND_BOOL(&update, "upsert", true);
    bson_append_document_end(updates, &update);
}

/* One command with as many letters as fit. *ret_sent tells how many. */
static int send_letters(struct sl_store *store, const struct sl_origin *origin,
                        const struct sl_dead *dead, uint32_t count, enum sl_dead_form form,
                        uint32_t *ret_sent, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, updates, reply;
    uint64_t deadline_ms = sl_store_deadline(store);
    int64_t at_ms = sl_wall_ms();
    uint32_t sent = 0;

    BSON_APPEND_UTF8(&command, "update", DEAD);
    BSON_APPEND_BOOL(&command, "ordered", true);
    sl_mongo_append_durable(&command, deadline_ms);
    SL_ARRAY_BEGIN(&command, "updates", &updates);
    while (sent < count && sent < COMMAND_LETTERS && updates.len < COMMAND_BYTES) {
        bson_t letter = BSON_INITIALIZER;
        sl_dead_to_document(origin, &dead[sent], form, at_ms, store->dead_ttl_ms, &letter);
        append_update(&updates, sent, origin, &dead[sent], &letter);
        bson_destroy(&letter);
        sent++;
    }
    bson_append_array_end(&command, &updates);

    int rc = sl_mongo_write(store->mongo, store->database, &command, &reply, deadline_ms, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    *ret_sent = sent;
    return rc;
}

/* A letter that the server refuses must not hold up its batch for ever: its row is kept as bytes.
 */
static int send_one_by_one(struct sl_store *store, const struct sl_origin *origin,
                           const struct sl_dead *dead, uint32_t count, struct sl_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sent;
        int rc = send_letters(store, origin, &dead[i], 1, SL_DEAD_PLAIN, &sent, err);
        if (rc == SL_REJECTED)
            rc = send_letters(store, origin, &dead[i], 1, SL_DEAD_BYTES, &sent, err);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

int sl_store_dead_put(struct sl_state *state, const struct sl_origin *origin,
                      const struct sl_dead *dead, uint32_t count, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    int rc = make_index(store, err);
    while (rc == SL_OK && count) {
        uint32_t sent = 0;
        rc = send_letters(store, origin, dead, count, SL_DEAD_PLAIN, &sent, err);
        if (rc == SL_REJECTED)
            rc = send_one_by_one(store, origin, dead, sent, err);
        dead += sent;
        count -= sent;
    }
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot keep dead letters of '%s'", origin->run);
}
