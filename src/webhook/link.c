/* A connection that is kept up by a fiber of its own:
 *
 *   (wanted?) ─► connect ─► open ─► up ─ (lost, over, no longer wanted) ─► close ─► shut ─┐
 *      ▲──────────────────────────── backoff after a failure ◄───────────────────────────┘
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "webhook/webhook_own.h"

enum {
    LOOK_MS = 1000,         /* whether it is still wanted */
    HURRY_MS = 500,         /* between two tries while somebody waits */
    CLOSE_TIMEOUT_MS = 800, /* several connections may hang, and an end has ten seconds */
};

static bool is_wanted(const struct sl_hook_link *link)
{
    return !link->type->wanted || link->type->wanted(link->ctx);
}

void sl_hook_link_trouble(struct sl_hook_link *link, const struct sl_err *err)
{
    if (strcmp(link->trouble, err->message) != 0)
        sl_log(err->code == SL_CONFIG ? SL_ERROR : SL_WARN,
               "connection to RabbitMQ in trouble, will try again",
               SL_T("connection", link->type->name), SL_T("error", err->message));
    snprintf(link->trouble, sizeof link->trouble, "%s", err->message);
}

static int open_link(struct sl_hook_link *link, struct sl_err *err)
{
    uint64_t deadline_ms = sl_deadline_in(link->broker->settings->connect_timeout_ms);
    link->over = false;
    int rc = sl_amqp_connect(link->amqp, deadline_ms, err);
    return rc == SL_OK ? link->type->open(link->ctx, link->amqp, deadline_ms, err) : rc;
}

static void stay_up(struct sl_hook_link *link)
{
    link->trouble[0] = '\0';
    link->up = true;
    sl_log(SL_INFO, "connected to RabbitMQ", SL_T("connection", link->type->name));
    sl_wake_all(&link->changed);
    while (!link->over && is_wanted(link))
        if (sl_wait(&link->changed, link->type->wanted ? sl_next_beat(LOOK_MS) : SL_FOREVER) ==
            SL_CANCELED)
            break;
    link->up = false;
}

/* In order, so that what was answered so far counts; the server takes back all else. */
static void close_link(struct sl_hook_link *link)
{
    sl_fiber_shield(true);
    sl_amqp_close(link->amqp, sl_deadline_in(CLOSE_TIMEOUT_MS));
    sl_fiber_shield(false);
    link->type->shut(link->ctx);
}

/* One life of the connection. SL_OK: it ended because it was no longer wanted. */
static int live(struct sl_hook_link *link, unsigned *failures)
{
    struct sl_err err = {0};
    int rc = open_link(link, &err);
    if (rc == SL_OK) {
        *failures = 0;
        stay_up(link);
        if (link->over) {
            err = link->why;
            rc = err.code;
        }
    }
    close_link(link);
    if (rc != SL_OK && rc != SL_CANCELED)
        sl_hook_link_trouble(link, &err);
    return rc;
}

/* Somebody who waits for the link makes the pause short: the peer may be back. For what an operator
 * must do (rc is SL_CONFIG) it stays as long as it is. */
static void pause_link(struct sl_hook_link *link, unsigned failures, int rc)
{
    uint64_t soonest_ms = sl_deadline_in(HURRY_MS);
    uint64_t latest_ms = sl_deadline_in(sl_broker_backoff_ms(failures));
    for (;;) {
        bool hurry = link->waiting && rc != SL_CONFIG && soonest_ms < latest_ms;
        uint64_t until_ms = hurry ? soonest_ms : latest_ms;
        if (sl_loop_now_ms() >= until_ms || sl_wait(&link->hurry, until_ms) == SL_CANCELED)
            return;
    }
}

static void keep(void *arg)
{
    struct sl_hook_link *link = arg;
    unsigned failures = 0;
    while (!sl_fiber_cancelled()) {
        if (!is_wanted(link)) {
            link->trouble[0] = '\0';
            link->type->wait(link->ctx);
            continue;
        }
        int rc = live(link, &failures);
        if (rc != SL_OK)
            pause_link(link, ++failures, rc);
    }
}

void sl_hook_link_start(struct sl_hook_link *link, const struct sl_hook_link_type *type,
                        const struct sl_broker *broker, void *ctx)
{
    *link = (struct sl_hook_link){.type = type, .ctx = ctx, .broker = broker};
    snprintf(link->trouble, sizeof link->trouble, "%s: not yet connected to RabbitMQ", type->name);
    link->amqp = sl_broker_amqp(broker, type->name);
    link->keeper = sl_fiber_spawn_joinable("hook.link", keep, link);
}

void sl_hook_link_stop(struct sl_hook_link *link)
{
    if (!link->keeper)
        return;
    struct sl_fiber *keeper = link->keeper;
    link->keeper = NULL;
    sl_fiber_cancel(keeper);
    sl_fiber_join(keeper);
    sl_amqp_free(link->amqp);
    link->amqp = NULL;
}

void sl_hook_link_end(struct sl_hook_link *link, const struct sl_err *why)
{
    if (link->over)
        return;
    link->over = true;
    link->why = *why;
    sl_wake_all(&link->changed);
}

int sl_hook_link_wait(struct sl_hook_link *link, uint64_t deadline_ms, struct sl_err *err)
{
    while (!link->up || link->over) {
        link->waiting++;
        sl_wake_all(&link->hurry);
        int rc = sl_wait(&link->changed, deadline_ms);
        link->waiting--;
        if (rc == SL_CANCELED)
            return sl_err_set(err, rc, "cancelled");
        if (rc == SL_TIMEOUT)
            return sl_err_set(err, rc, "%s",
                              link->trouble[0] ? link->trouble : "RabbitMQ: no connection in time");
    }
    return SL_OK;
}
