/* Inside of the gateway, shared by its parts:
 *
 *   gateway.c      builds it and ends it
 *   kinds.c        what there is to each kind of source
 *   refresher.c    tells feeds of refreshes that were asked for
 *   watch.c        shows it: readiness and status; asks the peers now and then
 *   alert_watch.c  tells operators of what lasts; alert_rows.c of rows */
#ifndef SL_CLI_GATEWAY_OWN_H
#define SL_CLI_GATEWAY_OWN_H

#include "broker/settings.h"
#include "cli/gateway.h"
#include "cli/kinds.h"
#include "cli/registry.h"
#include "flow/flow.h"
#include "loop/fiber.h"
#include "mongo/client.h"
#include "ops/ops.h"
#include "source/keeper.h"
#include "source/listeners.h"
#include "source/share.h"

/* An entry under "sources". */
struct sl_environment {
    const struct sl_source_config *config;
    const struct sl_kind *kind;
    void *it; /* as its kind opened it; NULL: not yet */
};

struct sl_feed {
    const struct sl_kind *kind;
    struct sl_source *source;
    struct sl_flow *flow;
    const struct sl_feed_config *config;
};

struct sl_lane_part {
    struct sl_source *source;
    struct sl_flow *flow;
};

/* A peer that is asked now and then whether it answers. */
#define SL_PEER_NOT_YET "not yet contacted"
struct sl_peer {
    const char *name;
    char trouble[SL_ERR_TEXT_BYTES]; /* "" when it answered */
};

struct sl_gateway {
    const struct sl_config *config;
    const struct sl_settings *settings;
    struct sl_http *http;
    struct sl_ops *ops;
    struct sl_mongo *mongo;
    struct sl_state *state;
    struct sl_broker *broker;
    struct sl_credit ingest_credits[SL_LANES]; /* by enum sl_lane */
    struct sl_credit apply_credits[SL_LANES];  /* likewise */
    size_t held_ids_bytes;                     /* by the sources, as limits.held_ids bounds */
    struct sl_sink *amqp_sink, *mongo_sink;
    struct sl_overtaken *overtaken; /* for mongo_sink */
    struct sl_listeners *listeners;
    struct sl_share *share;
    struct sl_keeper *keeper; /* of the leases that feeds of packages hold */
    char **shared;            /* names of the leases that it works under; heap, ended by NULL */
    struct sl_environment *environments; /* one for each source of the configuration */
    struct sl_feed *feeds;
    size_t feed_count;
    struct sl_lane_part lanes[SL_LANES]; /* by enum sl_lane */
    struct sl_peer mongo_peer, broker_peer;
    struct sl_fiber *watcher, *broker_watcher;
    struct sl_fiber *refresher;
    struct sl_alert_watch *alert_watch;
};

/* The environment of that source; it must exist and be open. */
void *sl_gateway_environment(const struct sl_gateway *gateway, const char *source);

/* A fiber tells feeds of the refreshes that were asked for (cli/refresher.c). */
void sl_refresher_start(struct sl_gateway *gateway);
void sl_refresher_stop(struct sl_gateway *gateway);

/* Readiness checks and status providers of all parts; a fiber asks the peers every two seconds.
 * Before start and after stop, between begin and end, /readyz says that the gateway is starting or
 * ending. */
void sl_watch_begin(void);
void sl_watch_start(struct sl_gateway *gateway);
void sl_watch_stop(struct sl_gateway *gateway);
void sl_watch_end(void);

/* What is wrong with the feed's source, else what its batches are refused for; NULL: nothing. */
const char *sl_feed_trouble(const struct sl_feed *feed);

/* A fiber looks every two seconds for what operators are to be told of: peers and budgets
 * (cli/alert_watch.c), lag and dead letters (cli/alert_rows.c). */
void sl_alert_watch_start(struct sl_gateway *gateway);
void sl_alert_watch_stop(struct sl_gateway *gateway);
/* Behind stop, when no row is under way any more: a last look at dead letters. */
void sl_alert_watch_end(struct sl_gateway *gateway);
/* What outlives a reload, too. */
void sl_alert_watch_forget(void);

/* What the looks at rows remember. */
struct sl_alert_rows;
struct sl_alert_rows *sl_alert_rows_new(void);
void sl_alert_rows_free(struct sl_alert_rows *rows);
void sl_alert_rows_look(struct sl_alert_rows *rows, struct sl_gateway *gateway);
void sl_alert_rows_look_at_dead(struct sl_alert_rows *rows, const struct sl_alert_settings *alerts);

#endif
