#include "source/dataverse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "source/dataverse_own.h"

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

void sl_dataverse_cover(struct sl_dataverse *dataverse, const char *collection)
{
    unsigned count = dataverse->covered_count++;
    dataverse->covered = sl_realloc(dataverse->covered, (count + 1) * sizeof *dataverse->covered);
    dataverse->covered[count] = collection;
}

/* A table that is read back may have versions of another kind. */
static int look_at(struct sl_dataverse *dataverse, const char *collection, int64_t *greatest,
                   struct sl_err *err)
{
    struct sl_state *state = dataverse->env.state;
    int64_t version = 0;
    int rc = state->type->version_max(state, collection, &version, err);
    if (version / 2 < SL_DATAVERSE_NUMBER_END && version / 2 > *greatest)
        *greatest = version / 2;
    return rc;
}

/* Without a mark (the first start, or the state was lost) what is stored tells. */
static int stored_greatest(struct sl_dataverse *dataverse, int64_t *ret, struct sl_err *err)
{
    int rc = SL_OK;
    *ret = 0;
    for (struct sl_dv_feed *feed = dataverse->feeds; feed && rc == SL_OK; feed = feed->next)
        rc = look_at(dataverse, feed->config->entities[0].collection, ret, err);
    for (unsigned i = 0; i < dataverse->covered_count && rc == SL_OK; i++)
        rc = look_at(dataverse, dataverse->covered[i], ret, err);
    return rc;
}

/* Raising the mark by nothing makes it ours: from then on an owner of old cannot raise it, and so
 * cannot publish what the mark that we read afterwards does not cover. */
static int become_owner(struct sl_dataverse *dataverse, struct sl_err *err)
{
    struct sl_state *state = dataverse->env.state;
    const char *name = dataverse->config->name;
    int64_t epoch = dataverse->lease.epoch, mark;
    int rc = state->type->mark_get(state, name, &mark, err);
    if (rc == SL_NOTFOUND)
        rc = stored_greatest(dataverse, &mark, err);
    if (rc == SL_OK)
        rc = state->type->mark_raise(state, name, mark, epoch, err);
    if (rc == SL_OK)
        rc = state->type->mark_get(state, name, &mark, err);
    int64_t offset = 0;
    if (rc == SL_OK)
        rc = state->type->mark_offset(state, name, &offset, err);
    if (rc != SL_OK)
        return rc;
    dataverse->mark = mark;
    dataverse->offset = offset;
    sl_dataverse_saw(dataverse, mark);
    dataverse->epoch = epoch;
    sl_log(SL_INFO, "source taken up", SL_T("source", name), SL_N("epoch", epoch),
           SL_N("mark", mark));
    sl_wake_all(&dataverse->owner_changed);
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
    return dataverse->epoch == dataverse->lease.epoch ? SL_OK : become_owner(dataverse, err);
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

/* --- the mark --- */

int64_t sl_dataverse_offset(const struct sl_dataverse *dataverse)
{
    return dataverse->offset;
}

int sl_dataverse_same_offset(const struct sl_dataverse *dataverse, int64_t offset,
                             struct sl_err *err)
{
    if (offset == dataverse->offset && offset != SL_DATAVERSE_NO_OFFSET)
        return SL_OK;
    return sl_err_set(err, SL_CLOSED, "source '%s' begins its versions anew; it is asked again",
                      dataverse->config->name);
}

static int wait_raised(struct sl_dataverse *dataverse, struct sl_err *err)
{
    while (dataverse->raising)
        if (sl_wait(&dataverse->raised, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    return SL_OK;
}

/* From here on nothing is read by the old offset, so that `greatest` covers all that ever was. When
 * the write fails nobody knows the offset, and nothing is read until it is tried again. */
int sl_dv_reset_versions(struct sl_dataverse *dataverse, const char *name, struct sl_err *err)
{
    struct sl_state *state = dataverse->env.state;
    int64_t offset;
    int rc = wait_raised(dataverse, err);
    if (rc != SL_OK)
        return rc;
    int64_t before = dataverse->offset;
    if (dataverse->greatest >= SL_DATAVERSE_NUMBER_END / 2)
        return sl_err_set(err, SL_CONFIG,
                          "the versions of source '%s' cannot be reset: %" PRId64
                          " is too near to the greatest version there can be",
                          dataverse->config->name, dataverse->greatest);
    dataverse->raising = true;
    dataverse->offset = SL_DATAVERSE_NO_OFFSET;
    int64_t value = dataverse->greatest, epoch = dataverse->epoch;
    rc = state->type->mark_reset(state, dataverse->config->name, name, value, epoch, &offset, err);
    dataverse->raising = false;
    if (rc == SL_REJECTED && dataverse->epoch == epoch)
        sl_dv_lose(dataverse);
    if (rc == SL_OK && dataverse->epoch == epoch) {
        dataverse->offset = offset;
        if (value > dataverse->mark)
            dataverse->mark = value;
        if (offset != before)
            sl_log(SL_WARN, "versions begin anew", SL_T("source", dataverse->config->name),
                   SL_N("offset", offset));
    }
    sl_wake_all(&dataverse->raised);
    return rc;
}

int64_t sl_dataverse_greatest(const struct sl_dataverse *dataverse)
{
    return dataverse->greatest;
}

void sl_dataverse_saw(struct sl_dataverse *dataverse, int64_t version)
{
    if (version > dataverse->greatest)
        dataverse->greatest = version;
}

/* One write serves all who wait: it raises the mark to what was read so far. */
static int raise_mark(struct sl_dataverse *dataverse, struct sl_err *err)
{
    struct sl_state *state = dataverse->env.state;
    int64_t value = dataverse->greatest, epoch = dataverse->epoch;
    dataverse->raising = true;
    int rc = state->type->mark_raise(state, dataverse->config->name, value, epoch, err);
    dataverse->raising = false;
    if (rc == SL_OK && dataverse->epoch == epoch && value > dataverse->mark)
        dataverse->mark = value;
    if (rc == SL_REJECTED && dataverse->epoch == epoch)
        sl_dv_lose(dataverse);
    sl_wake_all(&dataverse->raised);
    return rc;
}

int sl_dataverse_raise_mark(struct sl_dataverse *dataverse, int64_t version, struct sl_err *err)
{
    int64_t epoch = dataverse->epoch; /* one that was lost and won again is another one */
    sl_dataverse_saw(dataverse, version);
    for (;;) {
        int rc;
        if (!epoch || dataverse->epoch != epoch)
            return sl_err_set(err, SL_REJECTED, "source '%s' has another owner now",
                              dataverse->config->name);
        if (version <= dataverse->mark)
            return SL_OK;
        if (dataverse->raising)
            rc = sl_wait(&dataverse->raised, SL_FOREVER);
        else
            rc = raise_mark(dataverse, err);
        if (rc == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        if (rc != SL_OK)
            return sl_err_wrap(err, "cannot raise the mark of source '%s'",
                               dataverse->config->name);
    }
}

int sl_dataverse_clear(struct sl_dataverse *dataverse, int64_t epoch, const struct sl_batch *batch,
                       struct sl_err *err)
{
    int64_t greatest = 0;
    if (epoch != dataverse->epoch)
        return sl_err_set(err, SL_REJECTED, "source '%s' had another owner meanwhile",
                          dataverse->config->name);
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->records[i].op == SL_UPSERT && batch->records[i].version > greatest)
            greatest = batch->records[i].version;
    return sl_dataverse_raise_mark(dataverse, greatest / 2, err);
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
    free(dataverse->covered);
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
    return sl_dataverse_epoch(dataverse) && sl_budget_is_used_up(dataverse->remote.budget, ret_why);
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
    int64_t offset = dataverse->offset == SL_DATAVERSE_NO_OFFSET ? 0 : dataverse->offset;
    sl_buf_printf(
        buf,
        "{\"owner\":%s,\"epoch\":%" PRId64 ",\"mark\":%" PRId64 ",\"version_offset\":%" PRId64
        ",\"clock_offset_ms\":%" PRId64 ",\"clock_doubt_ms\":%" PRId64 ",\"budget\":",
        sl_dataverse_epoch(dataverse) ? "true" : "false", dataverse->epoch, dataverse->mark, offset,
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
