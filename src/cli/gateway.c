#include "cli/gateway.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/topology.h"
#include "cli/gateway_own.h"
#include "loop/delay.h"
#include "sink/amqp.h"
#include "sink/mongo.h"
#include "source/amqp.h"
#include "store/store.h"

enum {
    START_CHECK_MS = 3000,
    INGEST_WINDOW = 8, /* batches of one feed on their way to the broker */
    WRITE_TIMEOUT_MS = 60 * 1000,
    RETRY_MIN_MS = 500,
    RETRY_MAX_MS = 10 * 1000,
    LOOP_DELAY_EVERY_MS = 10,
    BOOK_HOLD_MS = 1000, /* of live changes: a run's end is seen later by that, a document is not */
    BOOK_COUNT = 8,      /* half of what the broker lets an applier hold */
    DRAIN_SHARE_MS = 3500, /* of the deadline, kept for closing connections */
    FINISH_MS = 1500,      /* for ending the open runs of all feeds */
};

/* --- start --- */

static int start_peers(struct sl_gateway *gateway, struct sl_err *err)
{
    const struct sl_settings *settings = gateway->settings;
    static uint64_t started_ms; /* of the process: it outlives a reload */
    if (!started_ms)
        started_ms = sl_now_ms();
    struct sl_about about = {SLUICE_VERSION, sl_role_names[gateway->config->role], started_ms};
    struct sl_http_options http = settings->http;
    http.version = SLUICE_VERSION;

    if (!(gateway->http = sl_http_new(&http, err)))
        return err->code;
    sl_alert_start(gateway->http, &settings->alerts, SLUICE_VERSION, about.role);
    if (!(gateway->ops = sl_ops_start(&settings->ops, &about, err)))
        return err->code;
    if (!(gateway->mongo = sl_mongo_new(&settings->mongo, err)))
        return err->code;
    if (!(gateway->state = sl_store_new(gateway->mongo, &settings->mongo, err)))
        return err->code;
    if (!(gateway->broker = sl_broker_new(&settings->broker, err)))
        return err->code;
    return SL_OK;
}

/* A broker that is there and cannot be used is told at once; one that is away is waited for. */
static int check_broker(struct sl_gateway *gateway, struct sl_err *err)
{
    int rc = sl_topology_check(gateway->broker, sl_deadline_in(START_CHECK_MS), err);
    return rc == SL_CONFIG || rc == SL_CANCELED ? rc : SL_OK;
}

static struct sl_flow_options flow_options(const char *name)
{
    return (struct sl_flow_options){
        .name = name,
        .write_timeout_ms = WRITE_TIMEOUT_MS,
        .retry_min_ms = RETRY_MIN_MS,
        .retry_max_ms = RETRY_MAX_MS,
    };
}

/* --- ingest --- */

void *sl_gateway_environment(const struct sl_gateway *gateway, const char *source)
{
    const struct sl_environment *environment = gateway->environments;
    while (strcmp(environment->config->name, source) != 0)
        environment++;
    return environment->it;
}

static int open_environments(struct sl_gateway *gateway, bool late, struct sl_err *err)
{
    for (size_t i = 0; i < gateway->config->source_count; i++) {
        struct sl_environment *environment = &gateway->environments[i];
        environment->config = &gateway->config->sources[i];
        environment->kind = sl_kind_of(environment->config->type);
        if (environment->kind->late != late)
            continue;
        environment->it = environment->kind->open(gateway, environment->config, err);
        if (!environment->it)
            return sl_err_wrap(err, "source '%s'", environment->config->name);
    }
    return SL_OK;
}

static void close_environments(struct sl_gateway *gateway, bool late)
{
    for (size_t i = 0; gateway->environments && i < gateway->config->source_count; i++) {
        struct sl_environment *environment = &gateway->environments[i];
        if (environment->it && environment->kind->late == late)
            environment->kind->close(environment->it);
    }
}

static void start_feed(struct sl_gateway *gateway, struct sl_feed *feed,
                       const struct sl_feed_config *config)
{
    size_t source = (size_t)(config->source - gateway->config->sources);
    const struct sl_environment *environment = &gateway->environments[source];
    struct sl_flow_options options = flow_options(config->name);
    options.window = INGEST_WINDOW;
    options.read_stage = "read";
    options.write_stage = "published";
    feed->config = config;
    feed->kind = environment->kind;
    feed->source = feed->kind->open_feed(gateway, environment->it, config);
    feed->flow = sl_flow_start(&options, feed->source, gateway->amqp_sink, gateway->state);
    sl_flow_count_from_zero(feed->flow, config->name);
}

static char *name_lease(const char *kind, const char *name)
{
    struct sl_buf buf;
    sl_buf_init(&buf);
    sl_buf_printf(&buf, "%s:%s", kind, name);
    return sl_buf_take(&buf);
}

/* All that one process at a time works on. */
static void start_sharing(struct sl_gateway *gateway)
{
    const struct sl_config *config = gateway->config;
    size_t count = 0;
    gateway->shared = sl_calloc(config->feed_count + config->source_count + 1, sizeof(char *));
    for (size_t i = 0; i < config->feed_count; i++)
        if (sl_kind_of(config->feeds[i].source->type)->sharing == SL_SHARED_BY_FEED)
            gateway->shared[count++] = name_lease("feed", config->feeds[i].name);
    for (size_t i = 0; i < config->source_count; i++)
        if (sl_kind_of(config->sources[i].type)->sharing == SL_SHARED_BY_SOURCE)
            gateway->shared[count++] = name_lease("source", config->sources[i].name);
    gateway->share = sl_share_new(gateway->state, (const char *const *)gateway->shared, count);
    gateway->keeper = sl_keeper_new(gateway->state);
}

static void end_sharing(struct sl_gateway *gateway)
{
    sl_keeper_free(gateway->keeper);
    sl_share_free(gateway->share);
    for (size_t i = 0; gateway->shared && gateway->shared[i]; i++)
        free(gateway->shared[i]);
    free(gateway->shared);
}

static int start_ingest(struct sl_gateway *gateway, struct sl_err *err)
{
    const struct sl_config *config = gateway->config;
    gateway->amqp_sink = sl_sink_amqp_new(gateway->broker, gateway->settings->mongo.database,
                                          sl_config_collection, config);
    gateway->listeners = sl_listeners_new(config);
    start_sharing(gateway);
    gateway->environments = sl_calloc(config->source_count, sizeof *gateway->environments);
    int rc = open_environments(gateway, false, err);
    if (rc == SL_OK)
        rc = open_environments(gateway, true, err);
    if (rc != SL_OK)
        return rc;
    gateway->feeds = sl_calloc(config->feed_count, sizeof *gateway->feeds);
    gateway->feed_count = config->feed_count;
    for (size_t i = 0; i < config->feed_count; i++)
        start_feed(gateway, &gateway->feeds[i], &config->feeds[i]);
    return sl_listeners_start(gateway->listeners, err);
}

/* --- apply --- */

static void start_lane(struct sl_gateway *gateway, enum sl_lane lane)
{
    struct sl_flow_options options = flow_options(sl_lane_name(lane));
    options.window = (unsigned)gateway->settings->mongo.writers;
    options.ledger = true;
    if (lane == SL_LANE_FAST) { /* many small batches; those of a full read are large */
        options.book_hold_ms = BOOK_HOLD_MS;
        options.book_count = BOOK_COUNT;
    }
    options.read_stage = "consumed";
    options.write_stage = "applied";
    options.write_timeout_ms = gateway->settings->mongo.write_timeout_ms;
    options.suspend_after_ms = gateway->settings->broker.consumer_timeout_ms / 4;

    struct sl_lane_part *part = &gateway->lanes[lane];
    part->source = sl_source_amqp_new(gateway->broker, lane, &gateway->apply_credits[lane],
                                      gateway->config->limits.batch_bytes);
    part->flow = sl_flow_start(&options, part->source, gateway->mongo_sink, gateway->state);
    for (size_t i = 0; i < gateway->config->feed_count; i++)
        sl_flow_count_from_zero(part->flow, gateway->config->feeds[i].name);
}

static void start_apply(struct sl_gateway *gateway)
{
    gateway->overtaken = sl_overtaken_new(gateway->state);
    gateway->mongo_sink =
        sl_sink_mongo_new(gateway->mongo, &gateway->settings->mongo, sl_config_collection,
                          gateway->config, gateway->overtaken);
    start_lane(gateway, SL_LANE_FAST);
    start_lane(gateway, SL_LANE_BULK);
}

/* Each lane has its own share, so that a full read never holds up a live change. */
static void share_credit(struct sl_credit credits[SL_LANES], const char *fast, const char *bulk,
                         size_t bytes)
{
    sl_credit_init(&credits[SL_LANE_FAST], fast, bytes / 4);
    sl_credit_init(&credits[SL_LANE_BULK], bulk, bytes - bytes / 4);
}

struct sl_gateway *sl_gateway_start(const struct sl_config *config, struct sl_err *err)
{
    struct sl_gateway *gateway = SL_NEW(struct sl_gateway);
    gateway->config = config;
    gateway->settings = config->settings;
    share_credit(gateway->ingest_credits, "ingest_fast", "ingest_bulk",
                 config->limits.ingest_credit_bytes);
    share_credit(gateway->apply_credits, "apply_fast", "apply_bulk",
                 config->limits.apply_credit_bytes);

    sl_watch_begin();
    int rc = start_peers(gateway, err);
    if (rc == SL_OK)
        rc = check_broker(gateway, err);
    if (rc == SL_OK && sl_config_ingests(gateway->config))
        rc = start_ingest(gateway, err);
    if (rc != SL_OK) {
        sl_gateway_stop(gateway, sl_deadline_in(0), false);
        return NULL;
    }
    if (sl_config_applies(gateway->config))
        start_apply(gateway);
    sl_watch_start(gateway);
    sl_alert_watch_start(gateway);
    sl_refresher_start(gateway);
    sl_loop_delay_watch(
        LOOP_DELAY_EVERY_MS); /* what a start reads from files is no delay of the work */
    return gateway;
}

/* --- stop --- */

static void finish_feeds(struct sl_gateway *gateway, uint64_t drain_ms)
{
    uint64_t finish_ms = sl_deadline_in(FINISH_MS);
    for (size_t i = 0; i < gateway->feed_count; i++) {
        struct sl_source *source = gateway->feeds[i].source;
        if (gateway->feeds[i].flow && source->type->finish)
            source->type->finish(source, finish_ms < drain_ms ? finish_ms : drain_ms);
    }
}

static void stop_reading(struct sl_gateway *gateway)
{
    for (size_t i = 0; i < gateway->feed_count; i++)
        if (gateway->feeds[i].flow)
            sl_flow_stop_reading(gateway->feeds[i].flow);
    for (size_t i = 0; i < SL_LANES; i++)
        if (gateway->lanes[i].flow)
            sl_flow_stop_reading(gateway->lanes[i].flow);
}

static void stop_flow(struct sl_flow *flow, uint64_t deadline_ms)
{
    if (!flow)
        return;
    sl_flow_stop(flow, deadline_ms);
    sl_flow_free(flow);
}

static void close_sink(struct sl_sink *sink)
{
    if (sink)
        sink->type->close(sink);
}

void sl_gateway_stop(struct sl_gateway *gateway, uint64_t deadline_ms, bool again)
{
    uint64_t drain_ms = deadline_ms > DRAIN_SHARE_MS ? deadline_ms - DRAIN_SHARE_MS : deadline_ms;
    sl_alert_watch_stop(gateway);
    sl_watch_stop(gateway);
    sl_refresher_stop(gateway);
    sl_share_leave(gateway->share);
    sl_listeners_stop(gateway->listeners, drain_ms, again); /* posts under way are answered */
    finish_feeds(gateway, drain_ms);
    stop_reading(gateway);
    for (size_t i = 0; i < gateway->feed_count; i++)
        stop_flow(gateway->feeds[i].flow, drain_ms);
    for (size_t i = 0; i < SL_LANES; i++)
        stop_flow(gateway->lanes[i].flow, drain_ms);
    close_environments(gateway, true);
    close_environments(gateway, false);
    end_sharing(gateway);
    close_sink(gateway->amqp_sink);
    close_sink(gateway->mongo_sink);
    sl_overtaken_free(gateway->overtaken);

    sl_alert_watch_end(gateway);
    sl_alert_stop(deadline_ms);
    if (gateway->state)
        gateway->state->type->close(gateway->state);
    sl_mongo_free(gateway->mongo);
    sl_broker_free(gateway->broker);
    sl_http_free(gateway->http);
    sl_ops_stop(gateway->ops);
    sl_watch_end();
    sl_loop_delay_watch(0);
    free(gateway->environments);
    free(gateway->feeds);
    free(gateway);
}

void sl_gateway_end(void)
{
    sl_alert_watch_forget();
}
