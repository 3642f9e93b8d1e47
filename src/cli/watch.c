/* What the outside sees of the gateway: readiness, status, and a watcher that asks the peers now
 * and then, so that a peer that went away while nothing was to do is known too. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/resident.h"
#include "cli/gateway_own.h"
#include "ops/ready.h"
#include "ops/status.h"
#include "sink/amqp.h"
#include "source/amqp.h"

enum { ASK_EVERY_MS = 2000, ANSWER_WITHIN_MS = 5000, SETTLE_MS = 100 };

/* --- the peers --- */

static void note(struct sl_peer *peer, int rc, const struct sl_err *err)
{
    if (rc == SL_CANCELED)
        return;
    const char *trouble = rc == SL_OK ? "" : err->message;
    bool known = strcmp(peer->trouble, SL_PEER_NOT_YET) != 0;
    if (trouble[0] && (!peer->trouble[0] || !known))
        sl_log(SL_WARN, "peer away", SL_T("peer", peer->name), SL_T("error", trouble));
    else if (!trouble[0] && peer->trouble[0])
        sl_log(SL_INFO, "peer answers", SL_T("peer", peer->name));
    snprintf(peer->trouble, sizeof peer->trouble, "%s", trouble);
}

/* Whose commands were answered since the last look need not be asked. */
static int ask_mongo(struct sl_mongo *mongo, struct sl_err *err)
{
    if (sl_mongo_silent_ms(mongo) < ASK_EVERY_MS)
        return SL_OK;
    return sl_mongo_ping(mongo, sl_deadline_in(ANSWER_WITHIN_MS), err);
}

/* Once, when all is connected and a moment has passed, so that the first answers are out. */
static void end_start(const struct sl_gateway *gateway)
{
    static bool ended;
    bool connected = !gateway->mongo_peer.trouble[0] &&
                     (!gateway->amqp_sink || !gateway->broker_peer.trouble[0]);
    if (ended || !connected)
        return;
    ended = true; /* the other watcher need not wait, too */
    if (sl_fiber_sleep(SETTLE_MS) == SL_OK)
        sl_resident_release();
}

static void watch(void *arg)
{
    struct sl_gateway *gateway = arg;
    uint64_t turned_ms = sl_loop_now_ms();
    do {
        struct sl_err err = {0};
        for (; sl_loop_now_ms() - turned_ms >= SL_HISTOGRAM_SLICE_MS; /* a peer may hang */
             turned_ms += SL_HISTOGRAM_SLICE_MS)
            sl_metric_turn();
        note(&gateway->mongo_peer, ask_mongo(gateway->mongo, &err), &err);
        end_start(gateway);
    } while (sl_fiber_sleep_beat(ASK_EVERY_MS) == SL_OK);
}

/* Beside the other: both connect at the same time, and one that hangs hides nothing. */
static void watch_broker(void *arg)
{
    struct sl_gateway *gateway = arg;
    do {
        struct sl_err err = {0};
        int rc = gateway->amqp_sink->type->ping(gateway->amqp_sink,
                                                sl_deadline_in(ANSWER_WITHIN_MS), &err);
        note(&gateway->broker_peer, rc, &err);
        end_start(gateway);
    } while (sl_fiber_sleep_beat(ASK_EVERY_MS) == SL_OK);
}

/* --- readiness --- */

static const char *peer_trouble(void *ctx)
{
    const struct sl_peer *peer = ctx;
    return peer->trouble[0] ? peer->trouble : NULL;
}

static const char *publish_trouble(void *ctx)
{
    return sl_sink_amqp_trouble(ctx);
}

static const char *consume_trouble(void *ctx)
{
    return sl_source_amqp_trouble(ctx);
}

static const char *flow_trouble(void *ctx)
{
    return sl_flow_trouble(ctx);
}

const char *sl_feed_trouble(const struct sl_feed *feed)
{
    const char *trouble = feed->kind->feed_trouble(feed->source);
    return trouble || !feed->flow ? trouble : sl_flow_refusal(feed->flow);
}

static const char *feed_trouble(void *ctx)
{
    const struct sl_feed *feed = ctx;
    const char *trouble = sl_feed_trouble(feed);
    return trouble || !feed->kind->feed_failure ? trouble : feed->kind->feed_failure(feed->source);
}

static const char *environment_trouble(void *ctx)
{
    const struct sl_environment *environment = ctx;
    return environment->kind->trouble(environment->it);
}

/* --- status --- */

static void rows_of(struct sl_buf *buf, const char *feed)
{
    static const char *const stages[] = {"read",  "published",  "consumed", "applied",
                                         "stale", "superseded", "dead"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        char part[300];
        snprintf(part, sizeof part, "feed=\"%s\",stage=\"%s\"", feed, stages[i]);
        sl_buf_printf(buf, "%s\"%s\":%lld", i ? "," : "", stages[i],
                      (long long)sl_metric_sum("rows_total", part));
    }
}

static void feeds_status(void *ctx, struct sl_buf *buf)
{
    const struct sl_gateway *gateway = ctx;
    sl_buf_add_char(buf, '{');
    for (size_t i = 0; i < gateway->config->feed_count; i++) {
        const char *name = gateway->config->feeds[i].name;
        sl_buf_printf(buf, "%s\"%s\":{\"rows\":{", i ? "," : "", name);
        rows_of(buf, name);
        sl_buf_add_text(buf, "},\"state\":");
        if (i < gateway->feed_count)
            gateway->feeds[i].kind->feed_status(gateway->feeds[i].source, buf);
        else
            sl_buf_add_text(buf, "null");
        sl_buf_add_char(buf, '}');
    }
    sl_buf_add_char(buf, '}');
}

static void sources_status(void *ctx, struct sl_buf *buf)
{
    const struct sl_gateway *gateway = ctx;
    const char *comma = "";
    sl_buf_add_char(buf, '{');
    for (size_t i = 0; gateway->environments && i < gateway->config->source_count; i++) {
        const struct sl_environment *environment = &gateway->environments[i];
        if (!environment->kind->status)
            continue;
        sl_buf_printf(buf, "%s\"%s\":", comma, environment->config->name);
        environment->kind->status(environment->it, buf);
        comma = ",";
    }
    sl_buf_add_char(buf, '}');
}

static void share_status(void *ctx, struct sl_buf *buf)
{
    const struct sl_gateway *gateway = ctx;
    sl_share_status(gateway->share, buf);
}

static void credit_status(void *ctx, struct sl_buf *buf)
{
    const struct sl_gateway *gateway = ctx;
    enum { POOLS = 2 * SL_LANES };
    const struct sl_credit *pools[POOLS] = {
        &gateway->ingest_credits[SL_LANE_FAST], &gateway->ingest_credits[SL_LANE_BULK],
        &gateway->apply_credits[SL_LANE_FAST], &gateway->apply_credits[SL_LANE_BULK]};
    for (size_t i = 0; i < POOLS; i++)
        sl_buf_printf(buf, "%c\"%s\":{\"used_bytes\":%zu,\"total_bytes\":%zu}", i ? ',' : '{',
                      pools[i]->name, pools[i]->used_bytes, pools[i]->total_bytes);
    sl_buf_add_char(buf, '}');
}

/* Before the parts run, and while they end: not ready, whatever they say. */
static const char *plain_trouble(void *ctx)
{
    return ctx;
}

void sl_watch_begin(void)
{
    static char text[] = "still starting";
    sl_ready_register("start", plain_trouble, text);
}

void sl_watch_end(void)
{
    sl_ready_clear();
}

void sl_watch_start(struct sl_gateway *gateway)
{
    sl_ready_clear(); /* from here on the parts speak for themselves */
    gateway->mongo_peer = (struct sl_peer){.name = "mongo", .trouble = SL_PEER_NOT_YET};
    gateway->broker_peer = (struct sl_peer){.name = "broker", .trouble = SL_PEER_NOT_YET};
    sl_ready_register("mongo", peer_trouble, &gateway->mongo_peer);
    if (gateway->amqp_sink) {
        sl_ready_register("broker", peer_trouble, &gateway->broker_peer);
        sl_ready_register("publishing", publish_trouble, gateway->amqp_sink);
    }
    char name[160];
    for (unsigned i = 0; i < SL_LANES; i++) {
        if (!gateway->lanes[i].flow)
            continue;
        snprintf(name, sizeof name, "queue %s", sl_lane_name((enum sl_lane)i));
        sl_ready_register(name, consume_trouble, gateway->lanes[i].source);
        snprintf(name, sizeof name, "apply %s", sl_lane_name((enum sl_lane)i));
        sl_ready_register(name, flow_trouble, gateway->lanes[i].flow);
    }
    for (size_t i = 0; gateway->environments && i < gateway->config->source_count; i++) {
        struct sl_environment *environment = &gateway->environments[i];
        snprintf(name, sizeof name, "source %s", environment->config->name);
        if (environment->kind->trouble)
            sl_ready_register(name, environment_trouble, environment);
    }
    for (size_t i = 0; i < gateway->feed_count; i++) {
        snprintf(name, sizeof name, "feed %s", gateway->feeds[i].config->name);
        sl_ready_register(name, feed_trouble, &gateway->feeds[i]);
    }
    sl_status_register("feeds", feeds_status, gateway);
    sl_status_register("sources", sources_status, gateway);
    if (gateway->share)
        sl_status_register("share", share_status, gateway);
    sl_status_register("credit", credit_status, gateway);
    sl_status_register("alerts", sl_alert_status, NULL);
    gateway->watcher = sl_fiber_spawn_joinable("watch", watch, gateway);
    if (gateway->amqp_sink)
        gateway->broker_watcher = sl_fiber_spawn_joinable("watch.broker", watch_broker, gateway);
}

void sl_watch_stop(struct sl_gateway *gateway)
{
    static char text[] = "ending";
    sl_ready_clear();
    sl_ready_register("end", plain_trouble, text);
    sl_status_clear();
    sl_fiber_end(&gateway->watcher);
    sl_fiber_end(&gateway->broker_watcher);
}
