#include "dmf/dmf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dmf/dmf_own.h"
#include "loop/fiber.h"
#include "source/batches.h"

enum { PAUSE_MIN_MS = 500, PAUSE_MAX_MS = 30 * 1000 };

/* --- the runner --- */

static bool is_over(enum sl_run_state state)
{
    return state >= SL_RUN_DONE;
}

static int advance(struct sl_dmf *dmf, struct sl_err *err)
{
    if (!sl_dmf_owns(dmf))
        return sl_dmf_take_over(dmf, err);
    return is_over(dmf->run.state) ? sl_dmf_plan(dmf, err) : sl_dmf_step(dmf, err);
}

static void run_feed(void *arg)
{
    struct sl_dmf *dmf = arg;
    uint64_t pause_ms = PAUSE_MIN_MS;
    for (;;) {
        struct sl_err err = {0};
        bool owned = sl_dmf_owns(dmf);
        int rc = advance(dmf, &err);
        if (rc == SL_CANCELED)
            return;
        if (rc == SL_OK) {
            pause_ms = PAUSE_MIN_MS;
            sl_dmf_trouble(dmf, "");
            if (owned || is_over(dmf->run.state)) /* else what stands in its way may stand there */
                dmf->env.alerter->clear(SL_ALERT_OPERATOR, dmf->feed->name);
            continue;
        }
        if (!dmf->lease.held && rc == SL_THROTTLED) {
            sl_dmf_trouble(dmf, ""); /* a standby is no trouble */
        } else {
            bool news = sl_dmf_trouble(dmf, err.message); /* not in a number alone */
            if (news && rc == SL_CONFIG)
                dmf->env.alerter->raise(SL_ALERT_OPERATOR, dmf->feed->name,
                                        "feed needs an operator", err.message);
        }
        if (sl_fiber_sleep(err.retry_after_ms ? err.retry_after_ms : pause_ms) != SL_OK)
            return;
        pause_ms = sl_backoff_next(pause_ms, PAUSE_MAX_MS);
    }
}

/* --- the source --- */

static int dmf_next(struct sl_source *source, struct sl_batch **ret_batch, struct sl_err *err)
{
    struct sl_dmf *dmf = (struct sl_dmf *)source;
    return sl_batcher_take(dmf->batcher, SL_FOREVER, ret_batch, err);
}

static bool is_current(const struct sl_dmf *dmf, const struct sl_batch *batch)
{
    return batch->origin.attempt == dmf->run.attempt && !strcmp(batch->origin.run, dmf->run.id);
}

static void dmf_commit(struct sl_source *source, struct sl_batch *batch)
{
    struct sl_dmf *dmf = (struct sl_dmf *)source;
    if (is_current(dmf, batch))
        dmf->committed++;
    sl_batch_free(batch);
    sl_wake_all(&dmf->committed_changed);
}

static void dmf_release(struct sl_source *source, struct sl_batch *batch)
{
    struct sl_dmf *dmf = (struct sl_dmf *)source;
    if (is_current(dmf, batch))
        dmf->released = true;
    sl_batch_free(batch);
    sl_wake_all(&dmf->committed_changed);
}

/* From here on nobody renews its leases, or wakes it. */
static void let_go(struct sl_dmf *dmf)
{
    sl_share_watch(dmf->env.share, &dmf->lease, NULL);
    sl_keeper_take_out(dmf->env.keeper, &dmf->lease);
    for (size_t i = 0; i < dmf->exclusive_count; i++)
        sl_keeper_take_out(dmf->env.keeper, &dmf->exclusive[i]);
}

static void dmf_close(struct sl_source *source)
{
    struct sl_dmf *dmf = (struct sl_dmf *)source;
    sl_fiber_end(&dmf->runner);

    struct sl_state *state = dmf->env.state;
    let_go(dmf);
    sl_dmf_drop_collections(dmf);
    state->type->lease_drop(state, &dmf->lease);
    sl_batcher_free(dmf->batcher);
    free(dmf->exclusive);
    free(dmf);
}

static const struct sl_source_type dmf_type = {
    .name = "dmf",
    .summary = "Export packages of Dynamics 365 Finance & Operations",
    .next = dmf_next,
    .commit = dmf_commit,
    .release = dmf_release,
    .close = dmf_close,
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sl_lease *)a)->name, ((const struct sl_lease *)b)->name);
}

/* One lease for each collection, in order of name: whoever needs several takes them in this order.
 */
static void name_leases(struct sl_dmf *dmf)
{
    const struct sl_feed_config *feed = dmf->feed;
    snprintf(dmf->lease.name, sizeof dmf->lease.name, "feed:%s", feed->name);
    snprintf(dmf->lease.holder, sizeof dmf->lease.holder, "%s", feed->name);
    dmf->exclusive = sl_calloc(feed->entity_count, sizeof *dmf->exclusive);
    for (size_t i = 0; i < feed->entity_count; i++) {
        struct sl_lease lease = {0};
        snprintf(lease.name, sizeof lease.name, "collection:%s", feed->entities[i].collection);
        snprintf(lease.holder, sizeof lease.holder, "%s", feed->name);
        size_t at = 0;
        while (at < dmf->exclusive_count && strcmp(dmf->exclusive[at].name, lease.name))
            at++;
        if (at == dmf->exclusive_count)
            dmf->exclusive[dmf->exclusive_count++] = lease;
    }
    qsort(dmf->exclusive, dmf->exclusive_count, sizeof *dmf->exclusive, by_name);
}

static void have_kept(struct sl_dmf *dmf)
{
    sl_share_watch(dmf->env.share, &dmf->lease, &dmf->wake);
    sl_keeper_add(dmf->env.keeper, &dmf->lease, &dmf->wake);
    for (size_t i = 0; i < dmf->exclusive_count; i++)
        sl_keeper_add(dmf->env.keeper, &dmf->exclusive[i], NULL);
}

struct sl_source *sl_source_dmf_new(const struct sl_dmf_env *env, const struct sl_feed_config *feed)
{
    struct sl_dmf *dmf = SL_NEW(struct sl_dmf);
    dmf->source.type = &dmf_type;
    dmf->source.name = feed->name;
    dmf->env = *env;
    dmf->feed = feed;
    dmf->settings = feed->settings;
    dmf->since_ms = sl_wall_ms();
    dmf->batcher = sl_batches_new(&env->config->limits, env->credits);
    name_leases(dmf);
    have_kept(dmf);
    sl_dmf_count_from_zero(dmf);
    dmf->runner = sl_fiber_spawn_joinable("dmf.run", run_feed, dmf);
    return &dmf->source;
}

bool sl_source_dmf_owns(const struct sl_source *source)
{
    return ((const struct sl_dmf *)source)->lease.held;
}

const char *sl_source_dmf_trouble(const struct sl_source *source)
{
    const struct sl_dmf *dmf = (const struct sl_dmf *)source;
    return dmf->trouble[0] ? dmf->trouble : NULL;
}

const char *sl_source_dmf_failure(const struct sl_source *source)
{
    const struct sl_dmf *dmf = (const struct sl_dmf *)source;
    return dmf->lease.held && dmf->failure[0] ? dmf->failure : NULL; /* a standby has none */
}

uint64_t sl_source_dmf_waiting_ms(const struct sl_source *source)
{
    const struct sl_dmf *dmf = (const struct sl_dmf *)source;
    return dmf->unapplied_ms ? sl_loop_now_ms() - dmf->unapplied_ms : 0;
}

void sl_source_dmf_status(const struct sl_source *source, struct sl_buf *buf)
{
    const struct sl_dmf *dmf = (const struct sl_dmf *)source;
    const struct sl_run *run = &dmf->run;
    uint64_t read = 0, dead = 0, superseded = 0;
    for (unsigned i = 0; i < run->entity_count; i++) {
        read += run->entities[i].read;
        dead += run->entities[i].dead;
        superseded += run->entities[i].superseded;
    }
    char next[SL_ISO_BYTES] = "";
    if (dmf->next_run_ms)
        sl_iso_format(dmf->next_run_ms, next);
    sl_buf_printf(buf,
                  "{\"source\":\"dmf\",\"owner\":%s,\"run\":\"%s\",\"state\":\"%s\",\"attempt\":%u,"
                  "\"full\":%s,\"read\":%llu,\"dead\":%llu,\"superseded\":%llu,\"next_run\":\"%s\","
                  "\"trouble\":",
                  dmf->lease.held ? "true" : "false", run->id,
                  run->number ? sl_run_state_name(run->state) : "waiting", run->attempt,
                  run->full ? "true" : "false", (unsigned long long)read, (unsigned long long)dead,
                  (unsigned long long)superseded, next);
    const char *trouble = sl_source_dmf_trouble(source), *failure = sl_source_dmf_failure(source);
    sl_buf_add_json_text(buf, trouble ? trouble : failure ? failure : "");
    sl_buf_add_char(buf, '}');
}
