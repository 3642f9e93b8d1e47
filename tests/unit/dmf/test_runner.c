/* What a run concludes from an environment that does not know its execution: the calls of
 * dmf/api.h are answered here, and what is journaled is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "dmf/dmf_own.h"
#include "dmf/dmf_rig.h"
#include "loop/in_fiber.h"

#include <cmocka.h>

enum { DAY_MS = 24 * 3600 * 1000, COUNTER = 10 };

static struct {
    struct sl_state state;
    struct sl_run journal; /* the newest run, as it was saved */
    struct sl_run open;    /* one that ended unsettled, as it was saved; number 0: none */
    int64_t endless;       /* so many before that, from number 1 on, execute for ever */
    int open_code;         /* how the environment answers for that one, and … */
    enum sl_dmf_status open_status;
    const char *open_url;
    enum sl_run_state until;
    unsigned looks, unknown_looks; /* at the execution; so many do not find it */
    bool says_unknown;             /* … which is told as a status */
    unsigned exports;              /* that were asked for */
    unsigned slow_look_ms;         /* the first answer is read so much later */
    enum sl_dmf_status status;     /* from the second one on; the first tells of an execution */
    uint64_t execution_ms;         /* the deadline of it; 0: two hours */
    unsigned counter_fails;
    int64_t above;                 /* which the last counter was to be */
    int export_code, export_cause; /* how an export is answered; SL_OK: accepted */
    bool renames;                  /* … under another id, once export_code was given */
    unsigned suspects;
    unsigned slow_request_ms; /* that it is to be requested is journaled so much later */
    unsigned holds, lost_at;  /* of the feed's lease; it is another's from that one on; 0: never */
    bool collection_held, gave_way;
} rig;

/* --- the environment --- */

int sl_dmf_export(struct sl_dmf_remote *remote, const struct sl_dmf_export *export,
                  char ret_id[SL_DMF_ID_BYTES], struct sl_err *err)
{
    (void)remote;
    rig.exports++;
    if (rig.export_code != SL_OK) {
        int code = rig.export_code;
        rig.export_code = rig.renames ? SL_OK : code;
        sl_err_set(err, code, "an error has occurred");
        err->cause = rig.export_cause;
        err->retry_after_ms = 10;
        return code;
    }
    snprintf(ret_id, SL_DMF_ID_BYTES, "%s%s", rig.renames ? "other-" : "", export->execution_id);
    return SL_OK;
}

int sl_dmf_status(struct sl_dmf_remote *remote, const char *execution_id, enum sl_dmf_status *ret,
                  struct sl_err *err)
{
    (void)remote;
    if (!strcmp(execution_id, rig.open.returned_execution_id)) {
        *ret = rig.open_status;
        return rig.open_code == SL_OK ? SL_OK : sl_err_set(err, rig.open_code, "no answer");
    }
    if (!strcmp(execution_id, "endless")) {
        *ret = SL_DMF_EXECUTING;
        return SL_OK;
    }
    bool known = rig.looks++ >= rig.unknown_looks;
    if (rig.looks == 1 && rig.slow_look_ms)
        sl_fiber_sleep(rig.slow_look_ms);
    if (!known && rig.says_unknown) {
        *ret = SL_DMF_UNKNOWN;
        return SL_OK;
    }
    if (!known)
        return sl_err_set(err, SL_NOTFOUND, "no execution '%s'", execution_id);
    *ret = rig.looks == 1 ? SL_DMF_EXECUTING : rig.status;
    return SL_OK;
}

int sl_dmf_package_url(struct sl_dmf_remote *remote, const char *execution_id, char **ret_url,
                       struct sl_err *err)
{
    (void)remote;
    if (!strcmp(execution_id, rig.open.returned_execution_id)) {
        if (rig.open_code != SL_OK)
            return sl_err_set(err, rig.open_code, "no answer");
        *ret_url = strdup(rig.open_url);
        return SL_OK;
    }
    bool known = rig.looks++ >= rig.unknown_looks;
    if (rig.looks == 1 && rig.slow_look_ms)
        sl_fiber_sleep(rig.slow_look_ms);
    *ret_url = strdup(known ? "https://x.blob.core.windows.net/dmf/1" : "");
    return SL_OK;
}

/* --- the state --- */

static int run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                      struct sl_err *err)
{
    (void)state, (void)feed, (void)err;
    *ret = rig.journal;
    return SL_OK;
}

static int run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                    struct sl_err *err)
{
    (void)state, (void)epoch;
    if (run->number == rig.open.number) {
        rig.open = *run;
        return SL_OK;
    }
    rig.journal = *run;
    if (run->state == SL_RUN_REQUESTED && rig.slow_request_ms)
        sl_fiber_sleep(rig.slow_request_ms);
    if (run->state == rig.until && sl_fiber_sleep(60000) != SL_OK) /* it goes no further */
        return sl_err_set(err, SL_CANCELED, "cancelled");
    return SL_OK;
}

static int run_unsettled(struct sl_state *state, const char *feed, int64_t after,
                         struct sl_run *ret, struct sl_err *err)
{
    if (after < rig.endless) {
        *ret = (struct sl_run){.number = after + 1,
                               .state = SL_RUN_FAILED,
                               .state_ms = sl_wall_ms(),
                               .unsettled = true,
                               .returned_execution_id = "endless"};
        return SL_OK;
    }
    if (!rig.open.unsettled || rig.open.number <= after)
        return rig_run_unsettled(state, feed, after, ret, err);
    *ret = rig.open;
    return SL_OK;
}

static int counter_take(struct sl_state *state, const char *collection, int64_t above, int64_t *ret,
                        struct sl_err *err)
{
    (void)state, (void)collection;
    rig.above = above;
    if (rig.counter_fails) {
        rig.counter_fails--;
        return sl_err_set(err, SL_CLOSED, "the primary steps down");
    }
    *ret = COUNTER + 1;
    return SL_OK;
}

static int suspect_set(struct sl_state *state, const char *feed, const char *reason, int64_t epoch,
                       struct sl_err *err)
{
    (void)state, (void)feed, (void)reason, (void)epoch, (void)err;
    rig.suspects++;
    return SL_OK;
}

static int lease_hold(struct sl_state *state, struct sl_lease *lease, uint64_t ttl_ms,
                      struct sl_err *err)
{
    bool collection = !strncmp(lease->name, "collection:", 11);
    rig.collection_held |= collection;
    if (!collection && ++rig.holds >= rig.lost_at && rig.lost_at) {
        lease->held = false;
        return sl_err_set(err, SL_THROTTLED, "'%s' has another owner", lease->name);
    }
    return rig_lease_hold(state, lease, ttl_ms, err);
}

static void lease_drop(struct sl_state *state, struct sl_lease *lease)
{
    if (!strncmp(lease->name, "collection:", 11))
        rig.collection_held = false;
    rig_lease_drop(state, lease);
}

static const struct sl_state_type state_type = {
    .run_newest = run_newest,
    .run_ended = rig_run_ended,
    .run_save = run_save,
    .run_unsettled = run_unsettled,
    .runs_expire = rig_runs_expire,
    .suspect_get = rig_suspect_get,
    .suspect_set = suspect_set,
    .refresh_get = rig_refresh_get,
    .overtake_get = rig_overtake_get,
    .counter_take = counter_take,
    .lease_hold = lease_hold,
    .lease_drop = lease_drop,
};

/* A run that entered its state so long ago, and was planned before. */
static void journal(enum sl_run_state state, int64_t age_ms)
{
    memset(&rig, 0, sizeof rig);
    rig.status = SL_DMF_EXECUTING;
    rig.state = (struct sl_state){
        .type = &state_type, .database = "data", .lease_ms = 30000, .write_ms = 1000};
    rig.journal = (struct sl_run){
        .id = "vendors-000042",
        .feed = "vendors",
        .number = 42,
        .state = state,
        .created_ms = sl_wall_ms() - age_ms - 1000,
        .state_ms = sl_wall_ms() - age_ms,
        .execution_id = "sluice-vendors-000042-a",
        .returned_execution_id = "sluice-vendors-000042-a",
        .entities = {{.name = "VendorsV3", .counter = COUNTER}},
        .entity_count = 1,
    };
}

static bool is_over(void *ctx)
{
    (void)ctx;
    return rig.journal.state == rig.until;
}

/* The run as it is journaled when it has come there, or after three seconds. */
static const struct sl_run *run_to(enum sl_run_state until, uint64_t grace_ms)
{
    struct sl_dmf_feed_settings settings = {
        .full_definition_group = (char *)"VendorsFull",
        .start_grace_ms = grace_ms,
        .execution_deadline_ms = rig.execution_ms ? rig.execution_ms : 2 * 3600 * 1000,
        .url_deadline_ms = grace_ms};
    rig.until = until;
    rig_run(&rig.state, &settings, is_over, NULL);
    return &rig.journal;
}

/* --- tests --- */

/* Rows in a version of 0 would all be older than what is stored. */
static void keeps_its_counters(void *arg)
{
    (void)arg;
    journal(SL_RUN_PLANNED, 5000);
    rig.counter_fails = 1;
    rig.unknown_looks = 1;
    const struct sl_run *run = run_to(SL_RUN_EXECUTING, 120000);
    EXPECT(run->state == SL_RUN_EXECUTING);
    EXPECT(run->entities[0].counter == COUNTER);
    EXPECT(rig.looks == 2 && rig.suspects == 0);
}

/* Its collection may be another one now, whose counter is behind. */
static void takes_counters_above_all_that_the_feed_has_had(void *arg)
{
    (void)arg;
    journal(SL_RUN_DONE, DAY_MS);
    rig.journal.entities[1] = (struct sl_run_entity){.name = "GoneV1", .counter = COUNTER + 7};
    rig.journal.entity_count = 2;
    const struct sl_run *run = run_to(SL_RUN_EXECUTING, 120000);
    EXPECT(run->number == 43 && run->state == SL_RUN_EXECUTING);
    EXPECT(rig.above == COUNTER + 7);
    EXPECT(run->entity_count == 1 && run->entities[0].counter == COUNTER + 1);
}

/* The process was halted for longer than the grace, with that answer on its way. */
static void looks_again_after_a_halt(void *arg)
{
    (void)arg;
    journal(SL_RUN_PLANNED, 0);
    rig.journal.created_ms = rig.journal.state_ms; /* never asked for */
    rig.export_code = SL_REJECTED;
    rig.unknown_looks = 1;
    rig.slow_look_ms = 300;
    EXPECT(run_to(SL_RUN_EXECUTING, 200)->state == SL_RUN_EXECUTING);
}

static void looks_again_at_an_execution_after_a_halt(void *arg)
{
    static const struct {
        unsigned unknown_looks;
        uint64_t grace_ms, execution_ms;
    } cases[] = {
        {1, 200, 0  }, /* not found in time, it seems */
        {0, 0,   200}, /* not ended in time */
    };
    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        journal(SL_RUN_EXECUTING, 0);
        rig.unknown_looks = cases[i].unknown_looks;
        rig.execution_ms = cases[i].execution_ms;
        rig.slow_look_ms = 300;
        rig.status = SL_DMF_SUCCEEDED;
        const struct sl_run *run = run_to(SL_RUN_PACKAGED, cases[i].grace_ms);
        EXPECT(run->state == SL_RUN_PACKAGED && run->number == 42 && rig.suspects == 0);
    }
}

static void never_started(void *arg)
{
    (void)arg;
    journal(SL_RUN_PLANNED, 0);
    rig.journal.created_ms = rig.journal.state_ms;
    rig.export_code = SL_REJECTED;
    rig.unknown_looks = 1000;
    const struct sl_run *run = run_to(SL_RUN_FAILED, 100);
    EXPECT(run->state == SL_RUN_FAILED && rig.suspects == 0);
    EXPECT(strstr(run->error, "an error has occurred"));
}

static void asks_for_the_address_again_after_a_halt(void *arg)
{
    (void)arg;
    journal(SL_RUN_PACKAGED, 0);
    rig.unknown_looks = 1;
    rig.slow_look_ms = 300;
    EXPECT(run_to(SL_RUN_STREAMING, 200)->state == SL_RUN_STREAMING);
}

/* What an export that was given up takes when it ends at last comes again with a full export that
 * is asked for after that. */
static void asks_for_what_was_given_up_until_its_end_is_known(void *arg)
{
    static const struct {
        int64_t age_ms;
        int code;
        enum sl_dmf_status status;
        bool lost, settled;
    } cases[] = {
        {0,      SL_OK,       SL_DMF_NOT_RUN,   false, false},
        {DAY_MS, SL_OK,       SL_DMF_EXECUTING, false, false},
        {0,      SL_OK,       SL_DMF_SUCCEEDED, true,  true },
        {0,      SL_OK,       SL_DMF_PARTIAL,   true,  true },
        {0,      SL_OK,       SL_DMF_FAILED,    true,  true },
        {0,      SL_OK,       SL_DMF_CANCELED,  true,  true },
        {DAY_MS, SL_CLOSED,   SL_DMF_UNKNOWN,   false, false}, /* it cannot be asked now */
        {0,      SL_OK,       SL_DMF_UNKNOWN,   false, false},
        {0,      SL_NOTFOUND, SL_DMF_UNKNOWN,   false, false},
        {0,      SL_REJECTED, SL_DMF_UNKNOWN,   false, false},
        {DAY_MS, SL_OK,       SL_DMF_UNKNOWN,   true,  true }, /* nor will it ever be known */
        {DAY_MS, SL_NOTFOUND, SL_DMF_UNKNOWN,   true,  true },
        {DAY_MS, SL_REJECTED, SL_DMF_UNKNOWN,   true,  true },
    };
    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        journal(SL_RUN_DONE, DAY_MS);
        rig.open = (struct sl_run){.number = 41,
                                   .state = SL_RUN_FAILED,
                                   .state_ms = sl_wall_ms() - cases[i].age_ms,
                                   .unsettled = true,
                                   .returned_execution_id = "sluice-vendors-000041-a"};
        rig.open_code = cases[i].code;
        rig.open_status = cases[i].status;
        const struct sl_run *run = run_to(SL_RUN_PLANNED, 120000);
        if (!EXPECT(run->number == 43 && run->full == cases[i].lost &&
                    rig.suspects == cases[i].lost && rig.open.unsettled == !cases[i].settled))
            fprintf(stderr, "case %zu\n", i);
    }
}

static bool is_settled(void *ctx)
{
    (void)ctx;
    return !rig.open.unsettled;
}

static void asks_for_all_in_turn_when_some_never_end(void *arg)
{
    struct sl_dmf_feed_settings settings = {.execution_deadline_ms = 3600 * 1000,
                                            .start_grace_ms = 120000};
    (void)arg;
    journal(SL_RUN_DONE, DAY_MS);
    rig.status = SL_DMF_FAILED; /* of each run: the next one is planned soon */
    rig.endless = 3;
    rig.open = (struct sl_run){.number = 41,
                               .state = SL_RUN_FAILED,
                               .unsettled = true,
                               .returned_execution_id = "sluice-vendors-000041-a"};
    rig.open_status = SL_DMF_SUCCEEDED;
    rig.until = SL_RUN_ABANDONED; /* never */
    rig_run(&rig.state, &settings, is_settled, NULL);
    EXPECT(is_settled(NULL));
}

/* The feed's name was one of posts: nobody knows an export of theirs, and none was lost. */
static void asks_for_no_export_of_rows_that_were_posted(void *arg)
{
    (void)arg;
    journal(SL_RUN_DONE, DAY_MS);
    rig.open = (struct sl_run){.number = 41, .state = SL_RUN_FAILED, .unsettled = true};
    rig.open_code = SL_NOTFOUND;
    const struct sl_run *run = run_to(SL_RUN_PLANNED, 120000);
    EXPECT(run->number == 43 && !run->full && !rig.suspects && rig.open.unsettled);
}

/* An address that stays empty means that nothing had changed; one that is only late does not. */
static void asks_for_the_package_of_an_export_that_had_none(void *arg)
{
    static const struct {
        int64_t age_ms;
        int code;
        const char *url;
        bool lost, settled;
    } cases[] = {
        {0,      SL_OK,       "",          false, false},
        {DAY_MS, SL_OK,       "",          false, true },
        {0,      SL_OK,       "https://x", true,  true },
        {DAY_MS, SL_OK,       "https://x", true,  true },
        {DAY_MS, SL_CLOSED,   "",          false, false},
        {0,      SL_NOTFOUND, "",          false, false},
        {DAY_MS, SL_NOTFOUND, "",          true,  true },
    };
    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        journal(SL_RUN_DONE, DAY_MS);
        rig.open = (struct sl_run){.number = 41,
                                   .state = SL_RUN_DONE,
                                   .state_ms = sl_wall_ms() - cases[i].age_ms,
                                   .unsettled = true,
                                   .returned_execution_id = "sluice-vendors-000041-a"};
        rig.open_code = cases[i].code;
        rig.open_url = cases[i].url;
        const struct sl_run *run = run_to(SL_RUN_PLANNED, 120000);
        if (!EXPECT(run->number == 43 && run->full == cases[i].lost &&
                    rig.suspects == cases[i].lost && rig.open.unsettled == !cases[i].settled))
            fprintf(stderr, "case %zu\n", i);
    }
}

/* Its full export may have taken longer than the pause between two runs. */
static void counts_from_the_full_export_of_a_sweep(void *arg)
{
    (void)arg;
    journal(SL_RUN_DONE, 0);
    snprintf(rig.journal.sweeps, sizeof rig.journal.sweeps, "vendors-000041");
    rig.journal.fresh_ms = sl_wall_ms() - 61000;
    EXPECT(run_to(SL_RUN_PLANNED, 120000)->number == 43);
}

/* Of a full export nothing depends on when it ends. */
static void an_increment_that_was_given_up_stays_unsettled(void *arg)
{
    (void)arg;
    for (int full = 0; full <= 1; full++) {
        journal(SL_RUN_EXECUTING, DAY_MS);
        rig.journal.full = full;
        EXPECT(run_to(SL_RUN_FAILED, 120000)->unsettled == !full);
        journal(SL_RUN_EXECUTING, DAY_MS);
        rig.journal.full = full;
        rig.unknown_looks = 1000;
        EXPECT(run_to(SL_RUN_FAILED, 120000)->unsettled == !full);
    }
    journal(SL_RUN_EXECUTING, 0);
    rig.status = SL_DMF_FAILED;
    EXPECT(!run_to(SL_RUN_FAILED, 120000)->unsettled);
}

static void may_have_been_forgotten(void *arg)
{
    static const enum sl_run_state states[] = {SL_RUN_REQUESTED, SL_RUN_PLANNED};
    (void)arg;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        journal(states[i], DAY_MS);
        rig.unknown_looks = 1000;
        const struct sl_run *run = run_to(SL_RUN_FAILED, 120000);
        EXPECT(run->state == SL_RUN_FAILED && rig.suspects == 1);
        EXPECT(!strcmp(run->error, "the environment has forgotten the export"));
    }
}

/* An environment that says Unknown of an id that it does not know. */
static void takes_the_status_unknown_for_no_start(void *arg)
{
    (void)arg;
    journal(SL_RUN_REQUESTED, 5000);
    rig.says_unknown = true;
    rig.unknown_looks = 1000;
    EXPECT(run_to(SL_RUN_EXECUTING, 1000)->state == SL_RUN_EXECUTING);
    EXPECT(rig.exports == 1 && rig.looks == 2); /* requested, and planned again */

    journal(SL_RUN_REQUESTED, DAY_MS);
    rig.says_unknown = true;
    rig.unknown_looks = 1000;
    EXPECT(run_to(SL_RUN_FAILED, 1000)->state == SL_RUN_FAILED && rig.suspects == 1);

    /* Refused, and never asked for again under that id: it might have started. */
    journal(SL_RUN_PLANNED, 0);
    rig.journal.created_ms = rig.journal.state_ms;
    rig.export_code = SL_REJECTED;
    rig.says_unknown = true;
    rig.unknown_looks = 1000;
    EXPECT(run_to(SL_RUN_EXECUTING, 200)->state == SL_RUN_EXECUTING);
    EXPECT(rig.exports == 1 && rig.looks > 2);
}

/* The clock was set back since: that it was asked for must not be forgotten with that. */
static void knows_that_it_was_asked_for(void *arg)
{
    (void)arg;
    journal(SL_RUN_PLANNED, -(int64_t)DAY_MS);
    rig.export_code = SL_CLOSED; /* it would be asked for otherwise */
    EXPECT(run_to(SL_RUN_EXECUTING, 120000)->state == SL_RUN_EXECUTING);
    EXPECT(rig.looks == 1);
}

/* A 503 may come from a proxy, after the start: under the id that nobody tells. */
static void a_503_is_no_answer(void *arg)
{
    static const struct {
        int cause;
        unsigned suspects;
    } cases[] = {
        {503, 1},
        {429, 0}
    };
    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        journal(SL_RUN_PLANNED, 0);
        rig.journal.created_ms = rig.journal.state_ms;
        rig.export_code = SL_THROTTLED;
        rig.export_cause = cases[i].cause;
        rig.renames = true;
        rig.unknown_looks = 1;
        EXPECT(run_to(SL_RUN_EXECUTING, 120000)->state == SL_RUN_EXECUTING);
        EXPECT(rig.suspects == cases[i].suspects);
    }
}

/* Who journaled the error was killed before the feed was marked; a full run may not heal that. */
static void marks_the_feed_again_at_the_end_of_a_run_with_an_error(void *arg)
{
    (void)arg;
    for (int full = 0; full <= 1; full++) {
        journal(SL_RUN_PUBLISHED, 0);
        rig.journal.full = full;
        snprintf(rig.journal.error, sizeof rig.journal.error, "rows are missing");
        const struct sl_run *run = run_to(SL_RUN_DONE, 200);
        EXPECT(run->state == SL_RUN_DONE && run->error[0] && rig.suspects == 1);

        journal(SL_RUN_EXECUTING, 0);
        rig.journal.full = full;
        snprintf(rig.journal.error, sizeof rig.journal.error, "rows are missing");
        rig.status = SL_DMF_FAILED;
        EXPECT(run_to(SL_RUN_FAILED, 200)->state == SL_RUN_FAILED && rig.suspects == 1);
    }
}

/* Seen while it waits for the feed: at its end it gives back all. */
static bool has_given_way(void *ctx)
{
    (void)ctx;
    rig.gave_way = rig.holds > rig.lost_at && !rig.collection_held;
    return rig.gave_way;
}

static bool has_asked_or_lost(void *ctx)
{
    (void)ctx;
    return rig.exports || (rig.lost_at && rig.holds > rig.lost_at);
}

/* Its own lease is gone when it is about to ask, with those of its collections in hand. */
static void gives_the_collections_back_with_the_feed(void *arg)
{
    (void)arg;
    struct sl_dmf_feed_settings settings = {0};
    journal(SL_RUN_PLANNED, 0);
    rig.journal.created_ms = rig.journal.state_ms;
    rig.until = SL_RUN_DONE;
    rig.lost_at = 2;
    rig_run(&rig.state, &settings, has_given_way, NULL);
    EXPECT(rig.gave_way && rig.exports == 0);
}

/* Halted after it was journaled that it is to be requested, for longer than a lease lasts. */
static void asks_for_nothing_after_a_halt_that_cost_the_feed(void *arg)
{
    (void)arg;
    for (unsigned lost_at = 0; lost_at <= 3; lost_at += 3) {
        journal(SL_RUN_PLANNED, 0);
        rig.journal.created_ms = rig.journal.state_ms;
        rig.state.lease_ms = 200;
        rig.slow_request_ms = 300;
        rig.lost_at = lost_at;
        rig.until = SL_RUN_EXECUTING;
        struct sl_dmf_feed_settings settings = {.start_grace_ms = 120000};
        rig_run(&rig.state, &settings, has_asked_or_lost, NULL);
        EXPECT(rig.holds >= 3 && rig.exports == (lost_at ? 0 : 1));
    }
}

#define IN_FIBER(name)                                                                             \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run_in_fiber(name, NULL);                                                                  \
    }

IN_FIBER(keeps_its_counters)
IN_FIBER(takes_counters_above_all_that_the_feed_has_had)
IN_FIBER(looks_again_after_a_halt)
IN_FIBER(looks_again_at_an_execution_after_a_halt)
IN_FIBER(never_started)
IN_FIBER(asks_for_the_address_again_after_a_halt)
IN_FIBER(asks_for_what_was_given_up_until_its_end_is_known)
IN_FIBER(asks_for_all_in_turn_when_some_never_end)
IN_FIBER(asks_for_no_export_of_rows_that_were_posted)
IN_FIBER(asks_for_the_package_of_an_export_that_had_none)
IN_FIBER(counts_from_the_full_export_of_a_sweep)
IN_FIBER(an_increment_that_was_given_up_stays_unsettled)
IN_FIBER(may_have_been_forgotten)
IN_FIBER(takes_the_status_unknown_for_no_start)
IN_FIBER(knows_that_it_was_asked_for)
IN_FIBER(a_503_is_no_answer)
IN_FIBER(marks_the_feed_again_at_the_end_of_a_run_with_an_error)
IN_FIBER(gives_the_collections_back_with_the_feed)
IN_FIBER(asks_for_nothing_after_a_halt_that_cost_the_feed)

static int end_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_its_counters),
        cmocka_unit_test(test_takes_counters_above_all_that_the_feed_has_had),
        cmocka_unit_test(test_looks_again_after_a_halt),
        cmocka_unit_test(test_looks_again_at_an_execution_after_a_halt),
        cmocka_unit_test(test_never_started),
        cmocka_unit_test(test_asks_for_the_address_again_after_a_halt),
        cmocka_unit_test(test_asks_for_what_was_given_up_until_its_end_is_known),
        cmocka_unit_test(test_asks_for_all_in_turn_when_some_never_end),
        cmocka_unit_test(test_asks_for_no_export_of_rows_that_were_posted),
        cmocka_unit_test(test_asks_for_the_package_of_an_export_that_had_none),
        cmocka_unit_test(test_counts_from_the_full_export_of_a_sweep),
        cmocka_unit_test(test_an_increment_that_was_given_up_stays_unsettled),
        cmocka_unit_test(test_may_have_been_forgotten),
        cmocka_unit_test(test_takes_the_status_unknown_for_no_start),
        cmocka_unit_test(test_knows_that_it_was_asked_for),
        cmocka_unit_test(test_a_503_is_no_answer),
        cmocka_unit_test(test_marks_the_feed_again_at_the_end_of_a_run_with_an_error),
        cmocka_unit_test(test_gives_the_collections_back_with_the_feed),
        cmocka_unit_test(test_asks_for_nothing_after_a_halt_that_cost_the_feed),
    };
    return cmocka_run_group_tests(tests, NULL, end_all);
}
