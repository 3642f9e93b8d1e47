/* A source, a sink and a state in memory that do what the test's script says, note what happens in
 * order, and check the promises of the flow engine at each step. */
#ifndef SL_TESTS_FLOW_SCRIPTED_H
#define SL_TESTS_FLOW_SCRIPTED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/flow.h"
#include "loop/in_fiber.h"

enum { ROWS = 3, EVENTS_MAX = 4096 };

/* What became of one batch; the first four since it was last given. */
struct fate {
    bool given, written, dead_kept, ledgered;
    unsigned gives, writes, commits, releases, set_asides;
    uint32_t applied, stale, dead; /* of the newest ledger entry */
    uint32_t rejects;              /* of the newest write */
};

struct rig;

struct script {
    /* Codes for the try-th call (from 1) about batch number; NULL: always SL_OK. */
    int (*write)(struct rig *rig, uint32_t number, unsigned try);
    int (*book)(struct rig *rig, uint32_t number);
    int (*next)(struct rig *rig);
    bool (*rejects)(uint32_t number, uint32_t index); /* rows that the sink refuses */
    uint64_t (*write_ms)(struct rig *rig, uint32_t number);
};

struct rig {
    /* Each is found again from its member's address. */
    struct sl_source source;
    struct sl_sink sink;
    struct sl_state state;

    struct script script;
    uint32_t total;         /* batches of the source */
    bool ends;              /* the source ends after them; else it waits for more */
    uint32_t source_dead;   /* dead rows found by the source in each batch */
    uint64_t give_up_in_ms; /* life of a given batch; 0: for ever */
    bool no_ledger;         /* the flow is not the final one */
    int64_t base_ms;        /* for stamp: the wall clock's zero of its times */
    void (*stamp)(struct rig *rig, struct sl_batch *batch); /* changes a batch that was made */
    bool sink_away, state_away, hang;

    struct fate *fates;
    uint32_t next_number;
    struct sl_batch **returned; /* released, to be given again */
    uint32_t returned_count;
    struct sl_waitlist more;
    bool suspended, closed;
    unsigned out, out_max, pings, suspends, resumes, next_calls, committed, writing, writing_max,
        ledger_calls;
    char
        events[EVENTS_MAX]; /* w write tried, W written, d dead, l ledger, c commit, r release, … */
    unsigned event_count;
    uint32_t dead_lines[64];
    char dead_codes[64][24], dead_ids[64][32], dead_files[64][32], dead_reasons[64][64];
    unsigned dead_noted;
};

#define RIG_OF(pointer, member) ((struct rig *)((char *)(pointer)-offsetof(struct rig, member)))

static inline void log_event(struct rig *rig, char event)
{
    if (rig->event_count + 1 < EVENTS_MAX)
        rig->events[rig->event_count++] = event;
}

static inline int fail_with(struct sl_err *err, int code)
{
    return sl_err_set(err, (enum sl_code)code, "scripted %s", sl_code_name(code));
}

/* --- the source --- */

static inline struct sl_batch *make_batch(struct rig *rig, uint32_t number)
{
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    struct sl_origin origin = {.feed = "vendors",
                               .entity = "VendorsV3",
                               .run = "vendors-000001",
                               .file = "Vendors.csv",
                               .attempt = 1,
                               .number = number,
                               .batches = -1,
                               .read_at_ms = 1};
    sl_batch_set_origin(batch, &origin);
    for (uint32_t i = 0; i < ROWS; i++) {
        char id[32];
        int length = snprintf(id, sizeof id, "b%u-r%u", number, i);
        struct sl_record *record = sl_batch_add(batch);
        record->id =
            (struct sl_str){sl_arena_text(&batch->arena, id, (size_t)length), (size_t)length};
        record->doc = (struct sl_str){"doc", 3};
        record->version = number;
        record->line = 2 + i;
        record->changed_at_ms = i ? 1 : 0;
    }
    for (uint32_t i = 0; i < rig->source_dead; i++) {
        struct sl_dead *dead = sl_batch_add_dead(batch);
        *dead = (struct sl_dead){.code = "untypable", .file = batch->origin.file, .line = 100 + i};
    }
    if (rig->stamp)
        rig->stamp(rig, batch);
    return batch;
}

static inline int rig_next(struct sl_source *source, struct sl_batch **ret_batch,
                           struct sl_err *err)
{
    struct rig *rig = RIG_OF(source, source);
    rig->next_calls++;
    int rc = rig->script.next ? rig->script.next(rig) : SL_OK;
    if (rc != SL_OK)
        return fail_with(err, rc);
    while (rig->suspended || (!rig->returned_count && rig->next_number == rig->total)) {
        if (!rig->suspended && rig->ends)
            return sl_err_set(err, SL_END, "that was all");
        rc = sl_wait(&rig->more, SL_FOREVER);
        if (rc != SL_OK)
            return fail_with(err, rc);
    }
    *ret_batch = rig->returned_count ? rig->returned[--rig->returned_count]
                                     : make_batch(rig, rig->next_number++);
    (*ret_batch)->give_up_ms = rig->give_up_in_ms ? sl_deadline_in(rig->give_up_in_ms) : 0;
    struct fate *fate = &rig->fates[(*ret_batch)->origin.number];
    EXPECT(!fate->given && !fate->commits); /* one owner at a time, and never again when safe */
    EXPECT(!rig->suspended);
    fate->given = true;
    fate->written = fate->dead_kept = fate->ledgered = false;
    fate->gives++;
    if (++rig->out > rig->out_max)
        rig->out_max = rig->out;
    return SL_OK;
}

static inline void rig_commit(struct sl_source *source, struct sl_batch *batch)
{
    struct rig *rig = RIG_OF(source, source);
    struct fate *fate = &rig->fates[batch->origin.number];
    EXPECT(fate->given && fate->written && (fate->ledgered || rig->no_ledger));
    EXPECT(fate->dead_kept || !batch->dead_count);
    fate->given = false;
    fate->commits++;
    rig->committed++;
    rig->out--;
    log_event(rig, 'c');
    sl_batch_free(batch);
}

/* It will be given again. */
static inline void rig_return(struct rig *rig, struct sl_batch *batch)
{
    struct fate *fate = &rig->fates[batch->origin.number];
    EXPECT(fate->given);
    EXPECT(batch->count == ROWS && batch->dead_count == rig->source_dead); /* as it was given */
    fate->given = false;
    rig->out--;
    log_event(rig, 'r');
    rig->returned[rig->returned_count++] = batch;
    sl_wake_all(&rig->more);
}

static inline void rig_release(struct sl_source *source, struct sl_batch *batch)
{
    struct rig *rig = RIG_OF(source, source);
    rig->fates[batch->origin.number].releases++;
    rig_return(rig, batch);
}

static inline void rig_set_aside(struct sl_source *source, struct sl_batch *batch)
{
    struct rig *rig = RIG_OF(source, source);
    struct fate *fate = &rig->fates[batch->origin.number];
    EXPECT(fate->given && !fate->written && !fate->ledgered);
    EXPECT(batch->count == ROWS && batch->dead_count == rig->source_dead);
    fate->given = false;
    fate->set_asides++;
    rig->out--;
    log_event(rig, 'a');
    sl_batch_free(batch);
}

static inline void rig_suspend(struct sl_source *source)
{
    struct rig *rig = RIG_OF(source, source);
    EXPECT(!rig->suspended && !rig->out); /* all are back before */
    rig->suspended = true;
    rig->suspends++;
    log_event(rig, 's');
}

static inline void rig_resume(struct sl_source *source)
{
    struct rig *rig = RIG_OF(source, source);
    EXPECT(rig->suspended);
    EXPECT(sl_fiber_sleep(5) != SL_TIMEOUT); /* a consumer needs a while to start again */
    rig->suspended = false;
    rig->resumes++;
    log_event(rig, 'R');
    sl_wake_all(&rig->more);
}

static inline void rig_close(struct sl_source *source)
{
    struct rig *rig = RIG_OF(source, source);
    EXPECT(!rig->out && !rig->closed);
    rig->closed = true;
}

static const struct sl_source_type rig_source_type = {
    .name = "scripted",
    .next = rig_next,
    .commit = rig_commit,
    .release = rig_release,
    .set_aside = rig_set_aside,
    .suspend = rig_suspend,
    .resume = rig_resume,
    .close = rig_close,
};

/* --- the sink --- */

static inline int write_batch(struct rig *rig, struct sl_batch *batch, uint64_t deadline_ms,
                              struct sl_result *ret, struct sl_err *err)
{
    struct fate *fate = &rig->fates[batch->origin.number];
    uint32_t number = batch->origin.number;
    fate->writes++;
    EXPECT(fate->given && batch->count == ROWS && batch->records[0].version == number);
    if (rig->hang)
        return fail_with(err, sl_fiber_park(deadline_ms));
    int rc = SL_OK;
    uint64_t ms = rig->script.write_ms ? rig->script.write_ms(rig, number) : 0;
    if (ms)
        rc = sl_fiber_sleep(ms);
    if (rc == SL_OK && rig->sink_away)
        rc = SL_CLOSED;
    if (rc == SL_OK && rig->script.write)
        rc = rig->script.write(rig, number, fate->writes);
    if (rc != SL_OK) {
        fate->written = rc == SL_REJECTED; /* its rows become dead letters instead */
        fate->rejects = rc == SL_REJECTED ? ROWS : 0;
        return fail_with(err, rc);
    }

    struct sl_reject *rejects = sl_arena_alloc(&batch->arena, ROWS * sizeof *rejects);
    *ret = (struct sl_result){.rejects = rejects};
    for (uint32_t i = 0; i < batch->count; i++) {
        if (rig->script.rejects && rig->script.rejects(number, i))
            rejects[ret->reject_count++] = (struct sl_reject){
                i, "refused_row", {"it is not liked", 15}
            };
        else if (i == 0)
            ret->stale++;
        else
            ret->applied++;
    }
    fate->rejects = ret->reject_count;
    fate->written = true;
    log_event(rig, 'W');
    return SL_OK;
}

static inline int rig_write(struct sl_sink *sink, struct sl_batch *batch, uint64_t deadline_ms,
                            struct sl_result *ret, struct sl_err *err)
{
    struct rig *rig = RIG_OF(sink, sink);
    log_event(rig, 'w');
    if (++rig->writing > rig->writing_max)
        rig->writing_max = rig->writing;
    int rc = write_batch(rig, batch, deadline_ms, ret, err);
    rig->writing--;
    return rc;
}

static inline int rig_ping(struct sl_sink *sink, uint64_t deadline_ms, struct sl_err *err)
{
    (void)deadline_ms;
    struct rig *rig = RIG_OF(sink, sink);
    rig->pings++;
    log_event(rig, 'p');
    return rig->sink_away ? fail_with(err, SL_CLOSED) : SL_OK;
}

static const struct sl_sink_type rig_sink_type = {
    .name = "scripted", .write = rig_write, .ping = rig_ping};

/* --- the state --- */

static inline int rig_dead_put(struct sl_state *state, const struct sl_origin *origin,
                               const struct sl_dead *dead, uint32_t count, struct sl_err *err)
{
    struct rig *rig = RIG_OF(state, state);
    struct fate *fate = &rig->fates[origin->number];
    EXPECT(fate->written && !fate->ledgered);
    EXPECT(count == fate->rejects + rig->source_dead);
    int rc = rig->state_away    ? SL_CLOSED
             : rig->script.book ? rig->script.book(rig, origin->number)
                                : SL_OK;
    if (rc != SL_OK)
        return fail_with(err, rc);
    for (uint32_t i = 0; i < count && rig->dead_noted < 64; i++) {
        unsigned n = rig->dead_noted++;
        rig->dead_lines[n] = dead[i].line;
        snprintf(rig->dead_codes[n], 24, "%s", dead[i].code);
        snprintf(rig->dead_files[n], 32, "%s", dead[i].file);
        snprintf(rig->dead_ids[n], 32, SL_STR_FORMAT, SL_STR_ARGS(dead[i].id));
        snprintf(rig->dead_reasons[n], 64, SL_STR_FORMAT, SL_STR_ARGS(dead[i].reason));
    }
    fate->dead_kept = true;
    log_event(rig, 'd');
    return SL_OK;
}

static inline int rig_book(struct rig *rig, const struct sl_booking *booking, struct sl_err *err)
{
    const struct sl_batch *batch = booking->batch;
    struct fate *fate = &rig->fates[batch->origin.number];
    EXPECT(fate->written && (fate->dead_kept || !batch->dead_count));
    EXPECT(booking->applied + booking->stale + booking->dead == ROWS);
    EXPECT(booking->dead == fate->rejects);
    int rc = rig->state_away    ? SL_CLOSED
             : rig->script.book ? rig->script.book(rig, batch->origin.number)
                                : SL_OK;
    if (rc != SL_OK)
        return fail_with(err, rc);
    fate->applied = booking->applied;
    fate->stale = booking->stale;
    fate->dead = booking->dead;
    fate->ledgered = true;
    log_event(rig, 'l');
    return SL_OK;
}

static inline int rig_ledger_put(struct sl_state *state, const struct sl_booking *bookings,
                                 size_t count, struct sl_err *err)
{
    struct rig *rig = RIG_OF(state, state);
    int rc = SL_OK;
    rig->ledger_calls++;
    for (size_t i = 0; i < count && rc == SL_OK; i++)
        rc = rig_book(rig, &bookings[i], err);
    return rc;
}

static const struct sl_state_type rig_state_type = {.ledger_put = rig_ledger_put,
                                                    .dead_put = rig_dead_put};

/* --- the rig --- */

static const struct sl_flow_options usual_options = {
    .name = "test",
    .window = 4,
    .ledger = true,
    .read_stage = "consumed",
    .write_stage = "applied",
    .write_timeout_ms = 10000,
    .retry_min_ms = 1,
    .retry_max_ms = 8,
};

static inline struct rig *rig_new(uint32_t total)
{
    struct rig *rig = SL_NEW(struct rig);
    rig->source = (struct sl_source){&rig_source_type, "scripted"};
    rig->sink = (struct sl_sink){&rig_sink_type, "scripted"};
    rig->state = (struct sl_state){.type = &rig_state_type};
    rig->total = total;
    rig->fates = sl_calloc(total, sizeof *rig->fates);
    rig->returned = sl_calloc(total, sizeof(struct sl_batch *));
    sl_metric_free_all();
    sl_log_setup(SL_ERROR, SL_LOG_JSON);
    return rig;
}

static inline struct sl_flow *rig_start(struct rig *rig, const struct sl_flow_options *options)
{
    return sl_flow_start(options, &rig->source, &rig->sink, &rig->state);
}

/* Stops the flow, and checks that it has given everything back. */
static inline void rig_stop(struct rig *rig, struct sl_flow *flow, uint64_t deadline_ms)
{
    sl_flow_stop(flow, deadline_ms);
    EXPECT(!rig->out && !rig->writing);
    sl_flow_free(flow);
    EXPECT(rig->closed);
}

static inline void rig_free(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->returned_count; i++)
        sl_batch_free(rig->returned[i]);
    free(rig->returned);
    free(rig->fates);
    free(rig);
}

/* Waits until all are safe (at most 60 s), stops, and checks that each became so exactly once. */
static inline void rig_finish(struct rig *rig, struct sl_flow *flow)
{
    uint64_t deadline_ms = sl_deadline_in(60000);
    while (rig->committed < rig->total && sl_loop_now_ms() < deadline_ms)
        sl_fiber_sleep(1);
    EXPECT(!sl_flow_trouble(flow));
    rig_stop(rig, flow, sl_deadline_in(10000));
    for (uint32_t i = 0; i < rig->total; i++)
        if (!EXPECT(rig->fates[i].commits == 1))
            break;
}

static inline int close_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

#endif
