/* Inside of the store: what its files share. */
#ifndef SL_STORE_STORE_OWN_H
#define SL_STORE_STORE_OWN_H

#include "store/process.h"
#include "store/store.h"

struct sl_store {
    struct sl_state state;
    struct sl_mongo *mongo;
    char *database;      /* of the state */
    char *data_database; /* of the documents: counters resume above what is stored there */
    uint64_t timeout_ms;
    uint64_t dead_ttl_ms;      /* 0: dead letters stay */
    uint64_t no_drop_until_ms; /* loop clock: leases are not given back before; see leases.c */
    char owner[128];
    char process[SL_PROCESS_BYTES];
    bool runs_ready, ledger_ready, dead_ready, members_ready; /* their indexes exist */
};

static inline struct sl_store *sl_store_of(struct sl_state *state)
{
    return (struct sl_store *)state;
}

enum { SL_STORE_DROP_MS = 1000 }; /* for what a shutdown gives back; the rest expires */

/* When a call that begins now must have ended. */
uint64_t sl_store_deadline(const struct sl_store *store);

/* Makes the collection's indexes, once: *ready tells whether it is done. indexes is the array of
 * createIndexes, borrowed. */
int sl_store_index(struct sl_store *store, bool *ready, const char *collection,
                   const bson_t *indexes, struct sl_err *err);

/* update {q: query, u: change, upsert}, durable. Borrows both documents; change is a document or,
 * when its first key is "0", a pipeline. ret_matched may be NULL. */
int sl_store_update(struct sl_store *store, const char *collection, const bson_t *query,
                    const bson_t *change, bool upsert, int64_t *ret_matched, struct sl_err *err);

/* The same by findAndModify: ret_document gets the document as it is afterwards (initialised on
 * SL_OK; the caller destroys it), SL_NOTFOUND when nothing matched and upsert is false. */
int sl_store_modify(struct sl_store *store, const char *collection, const bson_t *query,
                    const bson_t *change, bool upsert, bson_t *ret_document, struct sl_err *err);

/* Updates one document that belongs to a lease, made when it is missing: change must set epoch.
 * ret_document as above; NULL: it is not asked for. SL_REJECTED with no change when a newer epoch
 * wrote it, SL_CLOSED when another process made it at the same moment. */
int sl_store_update_owned(struct sl_store *store, const char *collection, const char *id,
                          const bson_t *change, int64_t epoch, bson_t *ret_document,
                          struct sl_err *err);

/* find, sorted (sort may be NULL), the first document; readConcern majority. */
int sl_store_find(struct sl_store *store, const char *collection, const bson_t *query,
                  const bson_t *sort, bson_t *ret_document, struct sl_err *err);

/* find, as many documents as fit one reply, at most limit. sort and fields may be NULL. */
struct sl_store_query {
    const char *database, *collection;
    const bson_t *filter, *sort, *fields;
    const bson_t *hint; /* the index to use; NULL: the server's choice */
    unsigned limit;
};
struct sl_store_rows {
    bson_t reply;
    bson_iter_t at;
    bool any;
};
int sl_store_find_many(struct sl_store *store, const struct sl_store_query *query,
                       struct sl_store_rows *ret, struct sl_err *err);
/* The next document, a view into the rows. */
bool sl_store_rows_next(struct sl_store_rows *rows, bson_t *ret_view);
void sl_store_rows_done(struct sl_store_rows *rows);

/* Appends readConcern {level: "majority"}. */
void sl_store_append_majority(bson_t *command);

/* aggregate: the first document. Borrows pipeline. */
int sl_store_aggregate(struct sl_store *store, const char *database, const char *collection,
                       const bson_t *pipeline, uint64_t deadline_ms, bson_t *ret_document,
                       struct sl_err *err);

/* --- the table's entries, by file --- */

/* runs.c */
int sl_store_run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                        struct sl_err *err);
int sl_store_run_latest(struct sl_state *state, const char *feed, struct sl_run *ret,
                        struct sl_err *err);
int sl_store_run_ended(struct sl_state *state, const char *feed, struct sl_run *ret,
                       struct sl_err *err);
int sl_store_run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                      struct sl_err *err);
int sl_store_run_unsettled(struct sl_state *state, const char *feed, int64_t after,
                           struct sl_run *ret, struct sl_err *err);
int sl_store_runs_open(struct sl_state *state, const char *feed, int64_t after, struct sl_run *ret,
                       unsigned max, unsigned *ret_count, struct sl_err *err);
int sl_store_runs_expire(struct sl_state *state, const char *feed, int64_t before,
                         struct sl_err *err);
int sl_store_runs_abandon(struct sl_state *state, const char *feed, int64_t epoch,
                          int64_t saved_before_ms, const char *why, struct sl_err *err);
/* checkpoints.c */
int sl_store_checkpoint_load(struct sl_state *state, const char *feed, struct sl_checkpoint *ret,
                             struct sl_err *err);
int sl_store_checkpoint_take(struct sl_state *state, const char *feed, int64_t epoch,
                             struct sl_checkpoint *ret, struct sl_err *err);
int sl_store_checkpoint_save(struct sl_state *state, const char *feed,
                             const struct sl_checkpoint *checkpoint, int64_t epoch,
                             struct sl_err *err);
int sl_store_mark_get(struct sl_state *state, const char *source, struct sl_mark *ret,
                      struct sl_err *err);
int sl_store_mark_raise(struct sl_state *state, const char *source, int64_t value, int64_t epoch,
                        struct sl_mark *ret, struct sl_err *err);
int sl_store_mark_sign(struct sl_state *state, const char *source, const char *organisation,
                       int64_t epoch, struct sl_err *err);
int sl_store_mark_reset(struct sl_state *state, const char *source, const char *name, int64_t value,
                        int64_t epoch, int64_t *ret_offset, struct sl_err *err);
/* refreshes.c */
int sl_store_refresh_ask(struct sl_state *state, const struct sl_refresh *wanted,
                         struct sl_refresh *ret, bool *ret_joined, struct sl_err *err);
int sl_store_refresh_get(struct sl_state *state, const char *feed, struct sl_refresh *ret,
                         struct sl_err *err);
int sl_store_refresh_save(struct sl_state *state, const struct sl_refresh *refresh, int64_t epoch,
                          struct sl_err *err);
int sl_store_refreshes_open(struct sl_state *state, const char *const *feeds, size_t count,
                            bool *ret_open, struct sl_err *err);
/* overtaken.c */
int sl_store_overtake(struct sl_state *state, const struct sl_overtake *overtake,
                      struct sl_err *err);
int sl_store_overtake_get(struct sl_state *state, const char *feed, struct sl_overtake *ret,
                          struct sl_err *err);
int sl_store_overtakes(struct sl_state *state, struct sl_overtake **ret, size_t *ret_count,
                       struct sl_err *err);
/* strangers.c */
int sl_store_stranger_find(struct sl_state *state, const char *collection, const char *const *known,
                           uint64_t deadline_ms, char ret_feed[SL_NAME_MAX], struct sl_err *err);
/* unseen.c */
int sl_store_unseen_count(struct sl_state *state, const struct sl_unseen *of, uint64_t *ret_unseen,
                          uint64_t *ret_live, struct sl_err *err);
int sl_store_unseen_ids(struct sl_state *state, const struct sl_unseen *of, const char *after,
                        unsigned max, struct sl_arena *arena, struct sl_str *ret_ids,
                        unsigned *ret_count, struct sl_err *err);
/* feeds.c */
int sl_store_suspect_set(struct sl_state *state, const char *feed, const char *reason,
                         int64_t epoch, struct sl_err *err);
int sl_store_suspect_get(struct sl_state *state, const char *feed,
                         char ret_reason[SL_ERR_TEXT_BYTES], struct sl_err *err);
/* counters.c */
int sl_store_counter_take(struct sl_state *state, const char *collection, int64_t above,
                          int64_t *ret, struct sl_err *err);
int sl_store_counter_renew(struct sl_state *state, const char *collection, int64_t counter,
                           int64_t *ret, struct sl_err *err);
int sl_store_clock_reserve(struct sl_state *state, int64_t until, int64_t *ret_previous,
                           struct sl_err *err);
int sl_store_version_line(struct sl_state *state, const char *collection, const char *by,
                          bool replace, char ret[SL_NAME_MAX], struct sl_err *err);
int sl_store_version_max(struct sl_state *state, const char *collection, int64_t *ret,
                         struct sl_err *err);
/* leases.c */
int sl_store_lease_hold(struct sl_state *state, struct sl_lease *lease, uint64_t ttl_ms,
                        struct sl_err *err);
int sl_store_leases_renew(struct sl_state *state, struct sl_lease *leases, size_t count,
                          uint64_t ttl_ms, bool *ret_held, struct sl_err *err);
void sl_store_lease_drop(struct sl_state *state, struct sl_lease *lease);
/* members.c */
int sl_store_member_beat(struct sl_state *state, const char *const *wants, size_t count,
                         uint64_t ttl_ms, struct sl_members *ret, struct sl_err *err);
void sl_store_member_leave(struct sl_state *state);
const char *sl_store_member_name(const struct sl_state *state);
/* ledger.c */
int sl_store_ledger_put(struct sl_state *state, const struct sl_booking *bookings, size_t count,
                        struct sl_err *err);
int sl_store_ledger_sum(struct sl_state *state, const char *run, uint32_t attempt,
                        const char *entity, struct sl_ledger_sum *ret, struct sl_err *err);
/* dead.c */
int sl_store_dead_put(struct sl_state *state, const struct sl_origin *origin,
                      const struct sl_dead *dead, uint32_t count, struct sl_err *err);
/* letters.c */
int sl_store_letters_find(struct sl_state *state, const struct sl_letter_query *query,
                          struct sl_arena *arena, struct sl_letter *ret, unsigned *ret_count,
                          struct sl_err *err);
int sl_store_letters_count(struct sl_state *state, const struct sl_letter_filter *filter,
                           struct sl_letter_count ret[SL_LETTER_CODES_MAX], unsigned *ret_count,
                           struct sl_err *err);
int sl_store_letters_feeds(struct sl_state *state, const struct sl_letter_filter *filter,
                           unsigned max, struct sl_arena *arena, const char **ret,
                           unsigned *ret_count, struct sl_err *err);
int sl_store_letters_remove(struct sl_state *state, const struct sl_letter *letters, unsigned count,
                            uint64_t *ret_removed, struct sl_err *err);
/* audit.c */
int sl_store_audit(struct sl_state *state, const char *feed, const char *run, sl_audit_fn *take,
                   void *ctx, struct sl_err *err);

#endif
