/* Looks for what operators are to be told of, and lasts: peers that are away, budgets that are used
 * up, rows that come late or cannot be delivered (alert_rows.c). Events are raised by the sources
 * themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/gateway_own.h"
#include "loop/fiber.h"
#include "sink/amqp.h"
#include "source/amqp.h"

enum {
    LOOK_EVERY_MS = 2000,
    GIVEN_AWAY_MS = 60 * 1000, /* another process has the feed for so long: it is its affair */
};

struct sl_alert_watch {
    struct sl_fiber *fiber;
    uint64_t
        *not_ours_ms; /* by feed, loop clock: since when another process has it; 0: it is ours */
};

static struct sl_alert_rows *rows; /* outlive a reload, as the counters do; NULL: none so far */

/* --- peers --- */

static void observe_peer(const struct sl_gateway *gateway, const char *subject,
                         enum sl_alert_look look, const char *trouble)
{
    const struct sl_alert_settings *alerts = &gateway->settings->alerts;
    const struct sl_alert_condition condition = {
        .kind = SL_ALERT_PEER_DOWN,
        .subject = subject,
        .look = look,
        .hold_ms = alerts->peer_down_ms,
        .clear_ms = alerts->recovered_after_ms,
        .title = "peer is down",
        .text = trouble,
    };
    sl_alert_observe(&condition);
}

static enum sl_alert_look look_of(const char *trouble)
{
    return trouble ? SL_ALERT_BAD : SL_ALERT_GOOD;
}

static const char *trouble_of(const struct sl_peer *peer)
{
    return peer->trouble[0] ? peer->trouble : NULL;
}

/* A database that answers, and takes no rows, is down too. */
static enum sl_alert_look look_at_mongo(const struct sl_gateway *gateway)
{
    const char *trouble = trouble_of(&gateway->mongo_peer);
    if (trouble && !strcmp(trouble, SL_PEER_NOT_YET))
        return SL_ALERT_UNKNOWN;
    for (size_t i = 0; !trouble && i < SL_LANES; i++)
        if (gateway->lanes[i].flow)
            trouble = sl_flow_trouble(gateway->lanes[i].flow);
    observe_peer(gateway, "mongo", look_of(trouble), trouble);
    return look_of(trouble);
}

/* So is a broker that takes no messages, or gives none. */
static enum sl_alert_look look_at_broker(const struct sl_gateway *gateway)
{
    const char *trouble = gateway->amqp_sink ? trouble_of(&gateway->broker_peer) : NULL;
    if (trouble && !strcmp(trouble, SL_PEER_NOT_YET))
        return SL_ALERT_UNKNOWN;
    if (!trouble && gateway->amqp_sink)
        trouble = sl_sink_amqp_trouble(gateway->amqp_sink);
    for (size_t i = 0; !trouble && i < SL_LANES; i++)
        if (gateway->lanes[i].source)
            trouble = sl_source_amqp_trouble(gateway->lanes[i].source);
    observe_peer(gateway, "broker", look_of(trouble), trouble);
    return look_of(trouble);
}

/* What a source or its feeds complain of, when it is neither the database nor the broker. What an
 * operator was told of already, and a budget that is used up, are other alerts. */
static const char *source_trouble(const struct sl_gateway *gateway,
                                  const struct sl_environment *environment)
{
    for (size_t i = 0; i < gateway->feed_count; i++) {
        const struct sl_feed *feed = &gateway->feeds[i];
        if (feed->config->source != environment->config ||
            sl_alert_is_raised(SL_ALERT_OPERATOR, feed->config->name))
            continue;
        const char *trouble = sl_feed_trouble(feed);
        if (trouble)
            return trouble;
    }
    return environment->kind->trouble ? environment->kind->trouble(environment->it) : NULL;
}

static void look_at_source(const struct sl_gateway *gateway,
                           const struct sl_environment *environment)
{
    char subject[160];
    const char *trouble = source_trouble(gateway, environment);
    snprintf(subject, sizeof subject, "source %s", environment->config->name);
    observe_peer(gateway, subject, look_of(trouble), trouble);
}

/* True when it is used up: the source's feeds complain of that then. */
static bool look_at_budget(const struct sl_gateway *gateway,
                           const struct sl_environment *environment)
{
    const struct sl_alert_settings *alerts = &gateway->settings->alerts;
    char why[SL_ERR_TEXT_BYTES] = "";
    bool used_up = environment->kind->budget_is_used_up(environment->it, why);
    const struct sl_alert_condition condition = {
        .kind = SL_ALERT_BUDGET,
        .subject = environment->config->name,
        .look = used_up ? SL_ALERT_BAD : SL_ALERT_GOOD,
        .hold_ms = alerts->budget_for_ms,
        .clear_ms = alerts->recovered_after_ms,
        .title = "budget used up",
        .text = why,
    };
    sl_alert_observe(&condition);
    return used_up;
}

static void look_at_environments(const struct sl_gateway *gateway, bool others_are_well)
{
    for (size_t i = 0; gateway->environments && i < gateway->config->source_count; i++) {
        const struct sl_environment *environment = &gateway->environments[i];
        bool used_up = environment->kind->budget_is_used_up && look_at_budget(gateway, environment);
        if (others_are_well && !used_up)
            look_at_source(gateway, environment);
    }
}

/* --- what is not ours any more --- */

static const struct sl_feed *feed_named(const struct sl_gateway *gateway, const char *name)
{
    for (size_t i = 0; i < gateway->feed_count; i++)
        if (!strcmp(gateway->feeds[i].config->name, name))
            return &gateway->feeds[i];
    return NULL;
}

static bool is_of_feed(enum sl_alert_kind kind)
{
    return kind == SL_ALERT_RUN_FAILED || kind == SL_ALERT_SWEEP_REFUSED ||
           kind == SL_ALERT_OPERATOR;
}

/* The end of an alert about a feed that another process has taken over is seen there, not here. */
static bool is_ours(void *ctx, enum sl_alert_kind kind, const char *subject)
{
    const struct sl_gateway *gateway = ctx;
    const struct sl_feed *feed = is_of_feed(kind) ? feed_named(gateway, subject) : NULL;
    if (!feed)
        return true;
    uint64_t since_ms = gateway->alert_watch->not_ours_ms[feed - gateway->feeds];
    return !since_ms || sl_loop_now_ms() - since_ms < GIVEN_AWAY_MS;
}

static void look_at_owners(const struct sl_gateway *gateway)
{
    for (size_t i = 0; i < gateway->feed_count; i++) {
        const struct sl_feed *feed = &gateway->feeds[i];
        const void *environment = sl_gateway_environment(gateway, feed->config->source->name);
        uint64_t *since_ms = &gateway->alert_watch->not_ours_ms[i];
        if (!feed->kind->owns || feed->kind->owns(environment, feed->source))
            *since_ms = 0;
        else if (!*since_ms)
            *since_ms = sl_loop_now_ms();
    }
    sl_alert_keep_only(is_ours, (void *)(uintptr_t)gateway);
}

static bool is_source(const struct sl_gateway *gateway, const char *name)
{
    for (size_t i = 0; gateway->environments && i < gateway->config->source_count; i++)
        if (!strcmp(gateway->config->sources[i].name, name))
            return true;
    return false;
}

/* "account (waiting)" is about account, and is looked at where that is read, alone. */
static bool is_about_feed(const struct sl_gateway *gateway, const char *subject)
{
    size_t length = strcspn(subject, " ");
    size_t count = subject[length] ? gateway->feed_count : gateway->config->feed_count;
    for (size_t i = 0; i < count; i++) {
        const char *name = gateway->config->feeds[i].name;
        if (strlen(name) == length && !strncmp(name, subject, length))
            return true;
    }
    return false;
}

/* A reload may have taken away what an alert is about. */
static bool is_configured(void *ctx, enum sl_alert_kind kind, const char *subject)
{
    static const char source[] = "source ";
    const struct sl_gateway *gateway = ctx;
    if (is_of_feed(kind))
        return feed_named(gateway, subject);
    if (kind == SL_ALERT_BUDGET)
        return is_source(gateway, subject);
    if (kind == SL_ALERT_PEER_DOWN && !strncmp(subject, source, sizeof source - 1))
        return is_source(gateway, subject + sizeof source - 1);
    return kind != SL_ALERT_LAG || is_about_feed(gateway, subject);
}

/* --- the fiber --- */

static void watch(void *arg)
{
    struct sl_gateway *gateway = arg;
    do {
        enum sl_alert_look mongo = look_at_mongo(gateway), broker = look_at_broker(gateway);
        bool well = mongo == SL_ALERT_GOOD && broker == SL_ALERT_GOOD;
        look_at_environments(gateway, well);
        if (well) /* without a database nobody owns anything */
            look_at_owners(gateway);
        sl_alert_rows_look(rows, gateway);
    } while (sl_fiber_sleep_beat(LOOK_EVERY_MS) == SL_OK);
}

void sl_alert_watch_start(struct sl_gateway *gateway)
{
    struct sl_alert_watch *watcher = gateway->alert_watch = SL_NEW(struct sl_alert_watch);
    if (!rows)
        rows = sl_alert_rows_new();
    watcher->not_ours_ms = sl_calloc(gateway->feed_count + 1, sizeof *watcher->not_ours_ms);
    sl_alert_keep_only(is_configured, gateway);
    watcher->fiber = sl_fiber_spawn_joinable("alert.watch", watch, gateway);
}

void sl_alert_watch_stop(struct sl_gateway *gateway)
{
    struct sl_alert_watch *watcher = gateway->alert_watch;
    if (!watcher)
        return;
    sl_fiber_cancel(watcher->fiber);
    sl_fiber_join(watcher->fiber);
}

void sl_alert_watch_end(struct sl_gateway *gateway)
{
    struct sl_alert_watch *watcher = gateway->alert_watch;
    if (!watcher)
        return;
    sl_alert_rows_look_at_dead(rows, &gateway->settings->alerts);
    free(watcher->not_ours_ms);
    free(watcher);
    gateway->alert_watch = NULL;
}

void sl_alert_watch_forget(void)
{
    sl_alert_rows_free(rows);
    rows = NULL;
}
