/* A feed of packages on a state that the test answers for: what every such test needs of it. */
#ifndef TEST_SOURCE_DMF_RIG_H
#define TEST_SOURCE_DMF_RIG_H

#include <stddef.h>

#include "base/err.h"
#include "dmf/dmf.h"
#include "dmf/settings.h"
#include "flow/credit.h"
#include "flow/state.h"

/* Nothing is unsettled, suspect, refreshed or overtaken; leases are held under the epoch 1. */
static int rig_run_unsettled(struct sl_state *state, const char *feed, int64_t after,
                             struct sl_run *ret, struct sl_err *err)
{
    (void)state, (void)after, (void)ret;
    return sl_err_set(err, SL_NOTFOUND, "'%s' has settled", feed);
}

static int rig_suspect_get(struct sl_state *state, const char *feed, char *ret_reason,
                           struct sl_err *err)
{
    (void)state, (void)ret_reason;
    return sl_err_set(err, SL_NOTFOUND, "'%s' is not suspect", feed);
}

static int rig_refresh_get(struct sl_state *state, const char *feed, struct sl_refresh *ret,
                           struct sl_err *err)
{
    (void)state, (void)ret;
    return sl_err_set(err, SL_NOTFOUND, "no refresh of '%s'", feed);
}

static int rig_run_ended(struct sl_state *state, const char *feed, struct sl_run *ret,
                         struct sl_err *err)
{
    (void)state, (void)ret;
    return sl_err_set(err, SL_NOTFOUND, "no run of '%s'", feed);
}

static int rig_overtake_get(struct sl_state *state, const char *feed, struct sl_overtake *ret,
                            struct sl_err *err)
{
    (void)state, (void)ret;
    return sl_err_set(err, SL_NOTFOUND, "nothing of '%s'", feed);
}

static int rig_runs_expire(struct sl_state *state, const char *feed, int64_t before,
                           struct sl_err *err)
{
    (void)state, (void)feed, (void)before, (void)err;
    return SL_OK;
}

static int rig_lease_hold(struct sl_state *state, struct sl_lease *lease, uint64_t ttl_ms,
                          struct sl_err *err)
{
    (void)state, (void)ttl_ms, (void)err;
    lease->held = true;
    lease->epoch = 1;
    return SL_OK;
}

static void rig_lease_drop(struct sl_state *state, struct sl_lease *lease)
{
    (void)state;
    lease->held = false;
}

static void rig_no_alert(enum sl_alert_kind kind, const char *subject, const char *title,
                         const char *text)
{
    (void)kind, (void)subject, (void)title, (void)text;
}

static void rig_no_clear(enum sl_alert_kind kind, const char *subject)
{
    (void)kind, (void)subject;
}

/* Runs the feed "vendors" until is_over(ctx), or for three seconds at most. */
static void rig_run(struct sl_state *state, struct sl_dmf_feed_settings *settings,
                    bool (*is_over)(void *ctx), void *ctx)
{
    static const struct sl_alerter alerter = {rig_no_alert, rig_no_clear, rig_no_alert};
    struct sl_entity_config entity = {.name = (char *)"Vendors V3",
                                      .route = (char *)"VendorsV3",
                                      .collection = (char *)"vendors"};
    struct sl_feed_config feed = {.name = (char *)"vendors",
                                  .settings = settings,
                                  .schedule = {.every_ms = 60000},
                                  .entities = &entity,
                                  .entity_count = 1};
    struct sl_config config = {
        .limits = {.batch_rows = 10, .batch_bytes = 1000, .max_row_bytes = 1000}
    };
    struct sl_credit credits[SL_LANES] = {0};
    struct sl_dmf_source_settings source_settings = {.poll_interval_ms = 20, .poll_max_ms = 40};
    struct sl_dmf_remote remote = {.settings = &source_settings};
    struct sl_dmf_env env = {.state = state,
                             .credits = credits,
                             .config = &config,
                             .alerter = &alerter,
                             .remote = &remote};
    sl_credit_init(&credits[SL_LANE_BULK], "ingest_bulk", 100000);
    settings->definition_group = (char *)"VendorsExport";
    settings->legal_entity = (char *)"USMF";
    struct sl_source *source = sl_source_dmf_new(&env, &feed);
    uint64_t until_ms = sl_deadline_in(3000);
    while (!is_over(ctx) && sl_loop_now_ms() < until_ms)
        sl_fiber_sleep(5);
    source->type->close(source);
}

#endif
