#include "dataverse/dataverse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"

enum {
    LEASE_MARGIN_MS = 3 * 1000, /* of the time for which a renewal is trusted */
    LEASE_RETRY_MS = 1000,
};

/* --- ownership --- */

int64_t sl_dataverse_epoch(const struct sl_dataverse *dataverse)
{
    return sl_loop_now_ms() < dataverse->owned_till_ms ? dataverse->epoch : 0;
}

int sl_dataverse_wait_owner(struct sl_dataverse *dataverse, uint64_t deadline_ms)
{
    int rc = SL_OK;
    while (rc == SL_OK && !sl_dataverse_epoch(dataverse))
        rc = sl_wait(&dataverse->owner_changed, deadline_ms);
    return rc;
}

static void trouble(struct sl_dataverse *dataverse, const char *text)
{
    if (text[0] && strcmp(text, dataverse->trouble))
        sl_log(SL_WARN, "source in trouble, will try again",
               SL_T("source", dataverse->config->name), SL_T("error", text));
    snprintf(dataverse->trouble, sizeof dataverse->trouble, "%s", text);
}

void sl_dv_lose(struct sl_dataverse *dataverse)
{
    if (dataverse->epoch)
        sl_log(SL_WARN, "source has another owner now", SL_T("source", dataverse->config->name));
    dataverse->epoch = 0;
    dataverse->lease.held = false;
    sl_wake_all(&dataverse->owner_changed);
}

/* A source without tables of Finance & Operations has nothing to do with their counter. */
static int become_owner(struct sl_dataverse *dataverse, struct sl_err *err)
{
    int64_t epoch = dataverse->lease.epoch;
    for (unsigned i = 0; i < SL_DV_COUNTERS; i++) {
        int rc = sl_dv_counter_take_up(&dataverse->counters[i], epoch, err);
        if (rc != SL_OK)
            return rc;
    }
    dataverse->epoch = epoch;
    sl_log(SL_INFO, "source taken up", SL_T("source", dataverse->config->name),
           SL_N("epoch", epoch), SL_N("mark", dataverse->counters[0].mark));
    return SL_OK;
}

static int hold(struct sl_dataverse *dataverse, struct sl_err *err)
{
    struct sl_state *state = dataverse->env.state;
    if (!dataverse->lease.held)
        sl_share_wait_turn(dataverse->env.share, &dataverse->lease);
    uint64_t asked_ms = sl_loop_now_ms();
    int rc = state->type->lease_hold(state, &dataverse->lease, state->lease_ms, err);
    if (rc != SL_OK)
        return rc;
    if (dataverse->epoch != dataverse->lease.epoch)
        dataverse->epoch = 0; /* somebody else was the owner meanwhile */
    dataverse->owned_till_ms = asked_ms + state->lease_ms - LEASE_MARGIN_MS;
    sl_books_stir(&dataverse->books); /* they may have waited for the lease, … */
    sl_wake_all(&dataverse->look);    /* … and so may who asks for rights */
    rc = dataverse->epoch == dataverse->lease.epoch ? SL_OK : become_owner(dataverse, err);
    if (rc == SL_OK) /* also when it was out of sight, and nobody had it meanwhile */
        sl_wake_all(&dataverse->owner_changed);
    return rc;
}

/* What was read and is not journaled, the next owner reads again. */
static void give_away(struct sl_dataverse *dataverse)
{
    struct sl_state *state = dataverse->env.state;
    dataverse->epoch = 0;
    sl_wake_all(&dataverse->owner_changed);
    sl_share_gave(dataverse->env.share, &dataverse->lease);
    state->type->lease_drop(state, &dataverse->lease);
}

/* Waits so long, or until another process shall have the source. */
static int sleep_as_owner(struct sl_dataverse *dataverse, uint64_t pause_ms)
{
    uint64_t until_ms = sl_deadline_in(pause_ms);
    int rc;
    do {
        if (dataverse->epoch && sl_share_must_give(dataverse->env.share, &dataverse->lease)) {
            give_away(dataverse);
            return SL_OK;
        }
        rc = sl_wait(&dataverse->must_give, until_ms);
    } while (rc == SL_OK);
    return rc == SL_TIMEOUT ? SL_OK : rc;
}

static void keep_lease(void *arg)
{
    struct sl_dataverse *dataverse = arg;
    uint64_t pause_ms = 0;
    while (sleep_as_owner(dataverse, pause_ms) == SL_OK) {
        struct sl_err err = {0};
        int rc = hold(dataverse, &err);
        pause_ms = rc == SL_OK ? dataverse->env.state->lease_ms / 3 : LEASE_RETRY_MS;
        if (rc == SL_CANCELED)
            return;
        if (rc == SL_THROTTLED) { /* a standby is no trouble */
            sl_dv_lose(dataverse);
            pause_ms = LEASE_RETRY_MS; /* one question a source, and changes wait for the answer */
        }
        trouble(dataverse, rc == SL_OK || rc == SL_THROTTLED ? "" : err.message);
    }
}

/* --- the environment --- */

struct sl_dataverse *sl_dataverse_new(const struct sl_dataverse_env *env,
                                      const struct sl_source_config *source, struct sl_err *err)
{
    struct sl_dataverse *dataverse = SL_NEW(struct sl_dataverse);
    dataverse->env = *env;
    dataverse->config = source;
    dataverse->settings = source->settings;
    if (sl_dataverse_remote_init(&dataverse->remote, env->http, source->name, dataverse->settings,
                                 err) != SL_OK) {
        free(dataverse);
        return NULL;
    }
    for (unsigned i = 0; i < SL_DV_COUNTERS; i++)
        sl_dv_counter_init(&dataverse->counters[i], dataverse, i == SL_DV_OF_FO);
    snprintf(dataverse->lease.name, sizeof dataverse->lease.name, "source:%s", source->name);
    sl_share_watch(env->share, &dataverse->lease, &dataverse->must_give);
    dataverse->keeper = sl_fiber_spawn_joinable("dv.lease", keep_lease, dataverse);
    sl_books_start(&dataverse->books, "dv.books");
    sl_dv_look_start(dataverse);
    return dataverse;
}

void sl_dataverse_free(struct sl_dataverse *dataverse)
{
    if (!dataverse)
        return;
    struct sl_state *state = dataverse->env.state;
    sl_fiber_end(&dataverse->keeper);
    sl_dv_look_stop(dataverse);
    sl_share_watch(dataverse->env.share, &dataverse->lease, NULL);
    sl_books_stop(&dataverse->books);
    state->type->lease_drop(state, &dataverse->lease);
    sl_dataverse_remote_done(&dataverse->remote);
    for (unsigned i = 0; i < SL_DV_COUNTERS; i++)
        sl_dv_counter_done(&dataverse->counters[i]);
    free(dataverse);
}

const char *sl_dataverse_trouble(const struct sl_dataverse *dataverse)
{
    if (dataverse->trouble[0])
        return dataverse->trouble;
    return sl_dataverse_epoch(dataverse) ? sl_budget_trouble(dataverse->remote.budget) : NULL;
}

bool sl_dataverse_budget_is_used_up(const struct sl_dataverse *dataverse,
                                    char ret_why[SL_ERR_TEXT_BYTES])
{
    bool used_up = sl_budget_is_used_up(dataverse->remote.budget, ret_why);
    return used_up && sl_dataverse_epoch(dataverse);
}

const char *sl_dataverse_name(const struct sl_dataverse *dataverse)
{
    return dataverse->config->name;
}

struct sl_dataverse_remote *sl_dataverse_remote(struct sl_dataverse *dataverse)
{
    return &dataverse->remote;
}

void sl_dataverse_status(const struct sl_dataverse *dataverse, struct sl_buf *buf)
{
    const struct sl_clock_offset *clock = &dataverse->remote.offset;
    sl_buf_printf(buf, "{\"owner\":%s,\"epoch\":%" PRId64,
                  sl_dataverse_epoch(dataverse) ? "true" : "false", dataverse->epoch);
    for (unsigned i = 0; i < SL_DV_COUNTERS; i++)
        sl_dv_counter_status(&dataverse->counters[i], buf);
    sl_buf_printf(buf,
                  ",\"clock_offset_ms\":%" PRId64 ",\"clock_doubt_ms\":%" PRId64 ",\"budget\":",
                  sl_clock_offset_ms(clock), sl_clock_offset_doubt_ms(clock));
    sl_budget_status(dataverse->remote.budget, buf);
    sl_buf_add_text(buf, ",\"trouble\":");
    sl_buf_add_json_text(buf, dataverse->trouble);
    sl_buf_add_char(buf, '}');
}

/* --- bells --- */

bool sl_dataverse_follows(const struct sl_dataverse *dataverse, const char *table)
{
    for (const struct sl_dv_feed *feed = dataverse->feeds; feed; feed = feed->next)
        if (!strcmp(feed->settings->table, table))
            return true;
    return false;
}

bool sl_dataverse_ring(struct sl_dataverse *dataverse, const char *table)
{
    bool heard = false;
    if (!sl_dataverse_epoch(dataverse))
        return false;
    for (struct sl_dv_feed *feed = dataverse->feeds; feed; feed = feed->next) {
        if (strcmp(feed->settings->table, table) != 0)
            continue;
        feed->rung = heard = true;
        feed->bells++;
        sl_wake_all(&feed->wake);
    }
    return heard;
}
