/* Reading rows back, one request an id at a time: events of an id that come while it is being asked
 * for are answered by asking once more, since the request may have been answered before
 * (docs/adr/0013-read-back.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "webhook/webhook_own.h"

enum {
    PAUSE_MIN_MS = 250,
    PAUSE_MAX_MS = 30 * 1000,
    OPERATOR_PAUSE_MIN_MS = 2000,
    OPERATOR_PAUSE_MAX_MS = 60 * 1000,
    REFUSED_FOR_MS = 5 * 1000, /* then a refusal is not taken back any more */
    FAILING_MS = 2000,         /* so long a failure is not long ago */
    FORBIDDEN = 403,
    NOT_THERE = 404,
};

unsigned sl_hook_jobs_max(const struct sl_webhook *webhook)
{
    return (unsigned)sl_dataverse_remote(sl_hook_reader(webhook))->settings->budget.concurrency;
}

/* --- the table of jobs --- */

static struct sl_hook_job **slot_of(struct sl_webhook_feed *feed, const char *id)
{
    uint64_t hash = sl_hash(id, strlen(id));
    struct sl_hook_job **at = &feed->webhook->jobs[hash % SL_HOOK_BUCKETS];
    while (*at && ((*at)->feed != feed || strcmp((*at)->id, id) != 0))
        at = &(*at)->next;
    return at;
}

static void end_job(struct sl_hook_job *job)
{
    struct sl_hook_job **at = slot_of(job->feed, job->id);
    *at = job->next;
    sl_hook_claims_end(job->feed->webhook, job->waiting, false);
    free(job);
}

/* --- one reading --- */

/* An operator must act. Events wait for that in their queue; but of one table that may not be read,
 * no more than leaves room for the others. */
static bool is_hopeless(const struct sl_hook_job *job, const struct sl_err *err)
{
    bool of_table = err->cause == FORBIDDEN || err->cause == NOT_THERE;
    return of_table && job->feed->held_up > sl_hook_jobs_max(job->feed->webhook) / 2;
}

/* A first failure that may pass is none yet. */
static void complain(const struct sl_hook_job *job, const struct sl_err *err, unsigned tries)
{
    struct sl_webhook_feed *feed = job->feed;
    sl_metric_add(feed->failed_metric, 1);
    if (err->code == SL_CONFIG && !feed->alerted)
        feed->webhook->env.alerter->raise(SL_ALERT_OPERATOR, feed->config->name,
                                          "feed needs an operator", err->message);
    feed->alerted |= err->code == SL_CONFIG;
    if (err->code == SL_CONFIG || (tries > 1 && sl_code_transient((int)err->code)))
        sl_hook_feed_trouble(feed, err->message);
}

bool sl_hook_jobs_full(const struct sl_webhook_feed *feed)
{
    const struct sl_webhook *webhook = feed->webhook;
    return webhook->failing >= sl_hook_failing_max(webhook) &&
           sl_loop_now_ms() < feed->failing_until_ms;
}

/* Whether there is room for another one that fails. */
static bool may_wait(struct sl_hook_job *job)
{
    struct sl_webhook *webhook = job->feed->webhook;
    job->feed->failing_until_ms = sl_deadline_in(FAILING_MS);
    if (!job->failing && webhook->failing >= sl_hook_failing_max(webhook))
        return false;
    webhook->failing += !job->failing;
    job->failing = true;
    return true;
}

static void works(struct sl_webhook_feed *feed)
{
    feed->failing_until_ms = 0;
    if (feed->held_up) /* another table of the relationship does not */
        return;
    feed->alerted = false;
    sl_dataverse_reach_works(feed->webhook->env.alerter, feed->config->name, feed->sight,
                             feed->trouble[0]);
    sl_hook_feed_trouble(feed, "");
}

static void bury(const struct sl_hook_job *job, struct sl_hook_reading *reading,
                 const struct sl_err *err)
{
    sl_log(SL_WARN, "a row cannot be read back, it is a dead letter",
           SL_T("feed", job->feed->config->name), SL_T("id", job->id), SL_T("error", err->message));
    sl_hook_reading_done(reading);
    reading->dead_code = "read_back";
    snprintf(reading->dead_reason, sizeof reading->dead_reason, "%s", err->message);
}

static void begin_due(struct sl_webhook *webhook);

/* Sleeps, and others are asked for meanwhile. */
static int sleep_aside(struct sl_webhook *webhook, uint64_t wait_ms)
{
    webhook->running--;
    webhook->pausing++;
    begin_due(webhook);
    int rc = sl_fiber_sleep(wait_ms);
    webhook->pausing--;
    webhook->running++;
    return rc;
}

/* Waits before the next try, not beyond until_ms. SL_OK: try. */
static int pause_job(struct sl_hook_job *job, const struct sl_err *err, uint64_t until_ms,
                     uint64_t *pause_ms)
{
    bool by_hand = err->code == SL_CONFIG;
    uint64_t wait_ms = err->retry_after_ms ? err->retry_after_ms : *pause_ms;
    if (by_hand && wait_ms < OPERATOR_PAUSE_MIN_MS)
        wait_ms = *pause_ms = OPERATOR_PAUSE_MIN_MS;
    *pause_ms = sl_backoff_next(*pause_ms, by_hand ? OPERATOR_PAUSE_MAX_MS : PAUSE_MAX_MS);
    uint64_t now_ms = sl_loop_now_ms(), left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    job->feed->held_up += by_hand;
    int rc = sleep_aside(job->feed->webhook, wait_ms < left_ms ? wait_ms : left_ms);
    job->feed->held_up -= by_hand;
    return rc;
}

/* The events go back by the caller. The link looks at once whether it is still wanted, else they
 * would come again on it. */
static int give_up(const struct sl_hook_job *job, struct sl_err *err)
{
    sl_wake_all(&job->feed->webhook->in.changed);
    return sl_err_set(err, SL_TIMEOUT, "handed back");
}

/* Asks until there is an answer. Else the events go back to their queue: the time in which they
 * must be answered is over, another process owns the environment, or enough others wait. */
static int read_patiently(struct sl_hook_job *job, uint64_t give_up_ms,
                          struct sl_hook_reading *reading, struct sl_err *err)
{
    const struct sl_webhook_feed *feed = job->feed;
    uint64_t pause_ms = PAUSE_MIN_MS, refused_ms = 0;
    unsigned tries = 0;
    for (;;) {
        if (!sl_hook_feed_is_ours(feed))
            return give_up(job, err);
        job->epoch = feed->epoch;
        int rc = sl_hook_read(job, reading, err);
        if (rc != SL_REJECTED)
            refused_ms = 0;
        else if (!refused_ms)
            refused_ms = sl_loop_now_ms();
        if (rc == SL_OK) {
            works(job->feed);
            return SL_OK;
        }
        if (rc == SL_CANCELED)
            return rc;
        complain(job, err, ++tries);
        bool final = refused_ms && sl_loop_now_ms() - refused_ms >= REFUSED_FOR_MS;
        if (final || (rc == SL_CONFIG && is_hopeless(job, err))) {
            bury(job, reading, err);
            return SL_OK;
        }
        sl_hook_reading_done(reading);
        if (!may_wait(job))
            return give_up(job, err);
        if (pause_job(job, err, give_up_ms, &pause_ms) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        if (sl_loop_now_ms() >= give_up_ms)
            return give_up(job, err);
    }
}

static int read_once(struct sl_hook_job *job, struct sl_err *err)
{
    struct sl_hook_reading reading = {0};
    struct sl_hook_claim *claims = job->waiting;
    uint64_t give_up_ms = claims->delivery->give_up_ms;
    job->waiting = NULL;
    int rc = sl_hook_jobs_full(job->feed) ? give_up(job, err)
                                          : read_patiently(job, give_up_ms, &reading, err);
    job->feed->webhook->failing -= job->failing;
    job->failing = false;
    if (rc == SL_OK)
        rc = sl_hook_feed_add(job, &reading, claims, err);
    if (rc != SL_OK)
        sl_hook_claims_end(job->feed->webhook, claims, false);
    sl_hook_reading_done(&reading);
    return rc;
}

/* --- fibers --- */

static void run_job(void *arg)
{
    struct sl_hook_job *job = arg;
    struct sl_webhook *webhook = job->feed->webhook;
    struct sl_err err = {0};
    while (job->waiting && read_once(job, &err) != SL_CANCELED)
        ;
    end_job(job);
    webhook->running--;
    begin_due(webhook);
    sl_wake_all(&webhook->idle);
}

static void begin_due(struct sl_webhook *webhook)
{
    while (webhook->first_due && webhook->running < sl_hook_jobs_max(webhook) &&
           !webhook->closing) {
        struct sl_hook_job *job = webhook->first_due;
        webhook->first_due = job->next_due;
        if (!webhook->first_due)
            webhook->last_due = NULL;
        webhook->running++;
        job->fiber = sl_fiber_spawn("hook.read", run_job, job);
    }
}

void sl_hook_jobs_add(struct sl_webhook_feed *feed, const struct sl_hook_pair *pair, int64_t at_ms,
                      struct sl_hook_claim *claim)
{
    struct sl_webhook *webhook = feed->webhook;
    char id[SL_HOOK_ID_BYTES];
    sl_hook_pair_id(pair, id);
    struct sl_hook_job **at = slot_of(feed, id), *job = *at;
    if (!job) {
        job = *at = SL_NEW(struct sl_hook_job);
        job->feed = feed;
        job->pair = *pair;
        memcpy(job->id, id, sizeof id);
        if (webhook->last_due)
            webhook->last_due->next_due = job;
        else
            webhook->first_due = job;
        webhook->last_due = job;
    }
    struct sl_hook_claim **end = &job->waiting; /* the oldest first */
    while (*end)
        end = &(*end)->next;
    *end = claim;
    if (at_ms > job->at_ms)
        job->at_ms = at_ms;
    begin_due(webhook);
}

void sl_hook_jobs_drop(struct sl_webhook *webhook)
{
    while (webhook->first_due) {
        struct sl_hook_job *job = webhook->first_due;
        webhook->first_due = job->next_due;
        end_job(job);
    }
    webhook->last_due = NULL;
}

void sl_hook_jobs_stop(struct sl_webhook *webhook)
{
    webhook->closing = true;
    sl_hook_jobs_drop(webhook);
    for (unsigned i = 0; i < SL_HOOK_BUCKETS; i++)
        for (struct sl_hook_job *job = webhook->jobs[i]; job; job = job->next)
            sl_fiber_cancel(job->fiber);
    sl_fiber_shield(true); /* they end at once */
    while (webhook->running + webhook->pausing)
        sl_wait(&webhook->idle, SL_FOREVER);
    sl_fiber_shield(false);
}
