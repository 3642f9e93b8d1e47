/* A state in memory, for tests of what uses one without a server: test_memory_state.c holds it to
 * the same promises as the store. Several processes may share the memory; each can be told that the
 * store is away, and which call fails next. The ledger is filled by ledger_put, as by an applier.
 * Documents for sweeps are put in by the test. Ends by memory_free. */
#ifndef SL_TESTS_FLOW_MEMORY_STATE_H
#define SL_TESTS_FLOW_MEMORY_STATE_H

#include "flow/memory_journal.h"

/* --- leases --- */

static inline void memory_owner(const struct sl_state *state, const struct sl_lease *lease,
                                char *out, size_t size)
{
    snprintf(out, size, "%s/%s", ((const struct memory_state *)state)->process, lease->holder);
}

static inline int memory_lease_hold(struct sl_state *state, struct sl_lease *lease, uint64_t ttl_ms,
                                    struct sl_err *err)
{
    struct memory *memory = memory_of(state)->memory;
    char me[SL_NAME_MAX * 2];
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    memory_owner(state, lease, me, sizeof me);
    struct memory_lease *one = memory->leases;
    while (one && strcmp(one->name, lease->name))
        one = one->next;
    if (!one) {
        one = SL_NEW(struct memory_lease);
        snprintf(one->name, sizeof one->name, "%s", lease->name);
        one->next = memory->leases;
        memory->leases = one;
    }
    bool mine = !strcmp(one->owner, me);
    lease->held =
        mine || !one->expires_ms || one->expires_ms + lease->patience_ms <= sl_loop_now_ms();
    if (!lease->held) {
        sl_err_set(err, SL_THROTTLED, "the lease '%s' is held by %s", lease->name, one->owner);
        if (err)
            err->retry_after_ms = 10;
        return SL_THROTTLED;
    }
    one->epoch += !mine;
    snprintf(one->owner, sizeof one->owner, "%s", me);
    one->expires_ms = sl_deadline_in(ttl_ms);
    lease->epoch = one->epoch;
    return SL_OK;
}

/* Judged when it is asked for: the answer may come late. */
static inline int memory_leases_renew(struct sl_state *state, struct sl_lease *leases, size_t count,
                                      uint64_t ttl_ms, bool *ret_held, struct sl_err *err)
{
    char me[SL_NAME_MAX * 2];
    bool away = memory_of(state)->away;
    for (size_t i = 0; !away && i < count; i++) {
        struct memory_lease *one = memory_of(state)->memory->leases;
        memory_owner(state, &leases[i], me, sizeof me);
        while (one && (strcmp(one->name, leases[i].name) != 0 || strcmp(one->owner, me) != 0))
            one = one->next;
        ret_held[i] = one;
        if (one)
            one->expires_ms = sl_deadline_in(ttl_ms);
    }
    return memory_enter(state, err);
}

static inline void memory_lease_drop(struct sl_state *state, struct sl_lease *lease)
{
    char me[SL_NAME_MAX * 2];
    memory_owner(state, lease, me, sizeof me);
    for (struct memory_lease *one = memory_of(state)->memory->leases; one; one = one->next)
        if (!strcmp(one->name, lease->name) && !strcmp(one->owner, me)) {
            *one->owner = '\0';
            one->expires_ms = sl_loop_now_ms();
        }
    lease->held = lease->asked = false;
}

static inline int memory_member_beat(struct sl_state *state, const char *const *wants, size_t count,
                                     uint64_t ttl_ms, struct sl_members *ret, struct sl_err *err)
{
    (void)wants;
    (void)count;
    (void)ttl_ms;
    int rc = memory_enter(state, err);
    if (rc == SL_OK) /* others are put in by the tests that want them */
        *ret = (struct sl_members){0};
    return rc;
}

static inline void memory_member_leave(struct sl_state *state)
{
    (void)state;
}

static inline const char *memory_member_name(const struct sl_state *state)
{
    return ((const struct memory_state *)state)->process;
}

/* --- the books --- */

static inline void memory_book(struct memory *memory, const struct sl_booking *booking)
{
    const struct sl_origin *origin = &booking->batch->origin;
    struct memory_booking *one = memory->bookings;
    while (one && (strcmp(one->run, origin->run) || strcmp(one->entity, origin->entity) ||
                   one->attempt != origin->attempt || one->number != origin->number))
        one = one->next;
    if (!one) {
        one = SL_NEW(struct memory_booking);
        snprintf(one->run, sizeof one->run, "%s", origin->run);
        snprintf(one->entity, sizeof one->entity, "%s", origin->entity);
        one->attempt = origin->attempt;
        one->number = origin->number;
        one->next = memory->bookings;
        memory->bookings = one;
    }
    one->sum = (struct sl_ledger_sum){1,
                                      booking->batch->count,
                                      booking->applied,
                                      booking->stale,
                                      booking->dead,
                                      booking->batch->superseded};
}

static inline int memory_ledger_put(struct sl_state *state, const struct sl_booking *bookings,
                                    size_t count, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    for (size_t i = 0; i < count && rc == SL_OK; i++)
        memory_book(memory_of(state)->memory, &bookings[i]);
    return rc;
}

static inline int memory_ledger_sum(struct sl_state *state, const char *run, uint32_t attempt,
                                    const char *entity, struct sl_ledger_sum *ret,
                                    struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    *ret = (struct sl_ledger_sum){0};
    for (struct memory_booking *one = memory_of(state)->memory->bookings; one; one = one->next) {
        if (strcmp(one->run, run) || strcmp(one->entity, entity) || one->attempt != attempt)
            continue;
        ret->batches++;
        ret->rows += one->sum.rows;
        ret->applied += one->sum.applied;
        ret->stale += one->sum.stale;
        ret->dead += one->sum.dead;
        ret->superseded += one->sum.superseded;
    }
    return SL_OK;
}

static inline int memory_dead_put(struct sl_state *state, const struct sl_origin *origin,
                                  const struct sl_dead *dead, uint32_t count, struct sl_err *err)
{
    (void)origin;
    (void)dead;
    int rc = memory_enter(state, err);
    if (rc == SL_OK)
        memory_of(state)->memory->dead_letters += count;
    return rc;
}

/* --- documents --- */

/* Puts a document in, or changes the one that is there. seen "": none. */
static inline void memory_document_put(struct memory *memory, const char *collection,
                                       const char *feed, const char *id, int64_t version,
                                       const char *seen, bool deleted)
{
    struct memory_document **at = &memory->documents, *one;
    while (*at && (strcmp((*at)->collection, collection) || strcmp((*at)->id, id)))
        at = &(*at)->next;
    one = *at;
    if (!one) {
        one = SL_NEW(struct memory_document);
        snprintf(one->collection, sizeof one->collection, "%s", collection);
        snprintf(one->id, sizeof one->id, "%s", id);
        for (at = &memory->documents; *at && strcmp((*at)->id, id) < 0;)
            at = &(*at)->next;
        one->next = *at;
        *at = one;
    }
    snprintf(one->feed, sizeof one->feed, "%s", feed);
    snprintf(one->seen, sizeof one->seen, "%s", seen);
    one->version = version;
    one->deleted = deleted;
}

static inline int memory_version_max(struct sl_state *state, const char *collection, int64_t *ret,
                                     struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    *ret = 0;
    for (struct memory_document *one = memory_of(state)->memory->documents; one; one = one->next)
        if (!strcmp(one->collection, collection) && one->version > *ret)
            *ret = one->version;
    return SL_OK;
}

static inline int memory_stranger_find(struct sl_state *state, const char *collection,
                                       const char *const *known, uint64_t deadline_ms,
                                       char ret_feed[SL_NAME_MAX], struct sl_err *err)
{
    (void)deadline_ms;
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (struct memory_document *one = memory_of(state)->memory->documents; one; one = one->next) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], one->feed) != 0)
            i++;
        if (known[i] || one->deleted || strcmp(one->collection, collection) != 0)
            continue;
        snprintf(ret_feed, SL_NAME_MAX, "%s", one->feed);
        return SL_OK;
    }
    return sl_err_set(err, SL_NOTFOUND, "no stranger");
}

static inline bool memory_is_live(const struct memory_document *one, const char *collection,
                                  const char *feed)
{
    return !one->deleted && !strcmp(one->collection, collection) && !strcmp(one->feed, feed);
}

static inline bool memory_is_unseen(const struct memory_document *one, const struct sl_unseen *of)
{
    return strcmp(one->seen, of->seen) && one->version <= of->floor;
}

static inline int memory_unseen_count(struct sl_state *state, const struct sl_unseen *of,
                                      uint64_t *ret_unseen, uint64_t *ret_live, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    *ret_unseen = *ret_live = 0;
    for (struct memory_document *one = memory_of(state)->memory->documents; one; one = one->next)
        if (memory_is_live(one, of->collection, of->feed)) {
            ++*ret_live;
            *ret_unseen += memory_is_unseen(one, of);
        }
    return SL_OK;
}

static inline int memory_unseen_ids(struct sl_state *state, const struct sl_unseen *of,
                                    const char *after, unsigned max, struct sl_arena *arena,
                                    struct sl_str *ret_ids, unsigned *ret_count, struct sl_err *err)
{
    unsigned count = 0;
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (struct memory_document *one = memory_of(state)->memory->documents; one && count < max;
         one = one->next)
        if (memory_is_live(one, of->collection, of->feed) && memory_is_unseen(one, of) &&
            strcmp(one->id, after) > 0) {
            size_t length = strlen(one->id);
            ret_ids[count++] = (struct sl_str){sl_arena_text(arena, one->id, length), length};
        }
    *ret_count = count;
    return SL_OK;
}

/* --- the whole --- */

static inline void memory_close(struct sl_state *state)
{
    (void)state; /* the test owns it */
}

static const struct sl_state_type memory_state_type = {
    .run_newest = memory_run_newest,
    .run_latest = memory_run_latest,
    .run_ended = memory_run_ended,
    .run_save = memory_run_save,
    .run_unsettled = memory_run_unsettled,
    .suspect_set = memory_suspect_set,
    .suspect_get = memory_suspect_get,
    .counter_take = memory_counter_take,
    .counter_renew = memory_counter_renew,
    .lease_hold = memory_lease_hold,
    .leases_renew = memory_leases_renew,
    .lease_drop = memory_lease_drop,
    .member_beat = memory_member_beat,
    .member_leave = memory_member_leave,
    .member_name = memory_member_name,
    .ledger_put = memory_ledger_put,
    .ledger_sum = memory_ledger_sum,
    .dead_put = memory_dead_put,
    .checkpoint_load = memory_checkpoint_load,
    .checkpoint_take = memory_checkpoint_take,
    .checkpoint_save = memory_checkpoint_save,
    .runs_open = memory_runs_open,
    .runs_expire = memory_runs_expire,
    .runs_abandon = memory_runs_abandon,
    .mark_get = memory_mark_get,
    .mark_raise = memory_mark_raise,
    .clock_reserve = memory_clock_reserve,
    .version_max = memory_version_max,
    .stranger_find = memory_stranger_find,
    .unseen_count = memory_unseen_count,
    .unseen_ids = memory_unseen_ids,
    .mark_sign = memory_mark_sign,
    .mark_reset = memory_mark_reset,
    .refresh_ask = memory_refresh_ask,
    .refresh_get = memory_refresh_get,
    .refresh_save = memory_refresh_save,
    .refreshes_open = memory_refreshes_open,
    .overtake = memory_overtake,
    .overtake_get = memory_overtake_get,
    .overtakes = memory_overtakes,
    .ping = memory_enter,
    .close = memory_close,
};

/* A process on the memory; both are the test's. */
static inline struct memory_state memory_state(struct memory *memory, const char *process)
{
    return (struct memory_state){
        .state = {.type = &memory_state_type, .database = "data", .lease_ms = 30000},
        .memory = memory,
        .process = process
    };
}

/* Each link of the lists begins with the pointer to the next one. */
static inline void memory_free_list(void *first)
{
    while (first) {
        void *next;
        memcpy(&next, first, sizeof next);
        free(first);
        first = next;
    }
}

static inline void memory_free(struct memory *memory)
{
    for (struct memory_entry *one = memory->entries; one; one = one->next)
        sl_checkpoint_done(&one->checkpoint);
    memory_free_list(memory->runs);
    memory_free_list(memory->entries);
    memory_free_list(memory->leases);
    memory_free_list(memory->bookings);
    memory_free_list(memory->documents);
}

#endif
