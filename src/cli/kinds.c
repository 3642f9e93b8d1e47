#include "cli/kinds.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cli/gateway_own.h"
#include "dataverse/dataverse.h"
#include "dataverse/settings.h"
#include "dmf/dmf.h"
#include "dmf/settings.h"
#include "ingest/ingest.h"
#include "ingest/settings.h"
#include "ops/alert.h"
#include "webhook/settings.h"
#include "webhook/webhook.h"

/* --- dmf --- */

static void *open_dmf(struct sl_gateway *gateway, const struct sl_source_config *source,
                      struct sl_err *err)
{
    struct sl_dmf_remote *remote = SL_NEW(struct sl_dmf_remote);
    if (sl_dmf_remote_init(remote, gateway->http, source->name, source->settings, err) == SL_OK)
        return remote;
    free(remote);
    return NULL;
}

static void close_dmf(void *environment)
{
    sl_dmf_remote_done(environment);
    free(environment);
}

static struct sl_source *open_dmf_feed(struct sl_gateway *gateway, void *environment,
                                       const struct sl_feed_config *feed)
{
    const struct sl_dmf_env env = {
        .remote = environment,
        .state = gateway->state,
        .sink = gateway->amqp_sink,
        .credits = gateway->ingest_credits,
        .config = gateway->config,
        .share = gateway->share,
        .keeper = gateway->keeper,
        .alerter = &sl_alerter,
    };
    return sl_source_dmf_new(&env, feed);
}

static bool owns_dmf(const void *environment, const struct sl_source *feed)
{
    (void)environment;
    return sl_source_dmf_owns(feed);
}

/* --- dataverse --- */

static void *open_dataverse(struct sl_gateway *gateway, const struct sl_source_config *source,
                            struct sl_err *err)
{
    const struct sl_dataverse_env env = {
        .http = gateway->http,
        .state = gateway->state,
        .sink = gateway->amqp_sink,
        .credits = gateway->ingest_credits,
        .config = gateway->config,
        .database = gateway->settings->mongo.database,
        .held_bytes = &gateway->held_ids_bytes,
        .share = gateway->share,
        .alerter = &sl_alerter,
    };
    return sl_dataverse_new(&env, source, err);
}

static void close_dataverse(void *environment)
{
    sl_dataverse_free(environment);
}

static struct sl_source *open_dataverse_feed(struct sl_gateway *gateway, void *environment,
                                             const struct sl_feed_config *feed)
{
    (void)gateway;
    return sl_source_dataverse_new(environment, feed);
}

static const char *dataverse_trouble(const void *environment)
{
    return sl_dataverse_trouble(environment);
}

static bool owns_webhook(const void *environment, const struct sl_source *feed)
{
    (void)environment;
    return sl_source_webhook_owns(feed);
}

static void dataverse_status(const void *environment, struct sl_buf *buf)
{
    sl_dataverse_status(environment, buf);
}

static bool owns_dataverse(const void *environment, const struct sl_source *feed)
{
    (void)feed;
    return sl_dataverse_epoch(environment);
}

static bool dataverse_budget(const void *environment, char ret_why[SL_ERR_TEXT_BYTES])
{
    return sl_dataverse_budget_is_used_up(environment, ret_why);
}

/* --- webhook --- */

static void *open_webhook(struct sl_gateway *gateway, const struct sl_source_config *source,
                          struct sl_err *err)
{
    const struct sl_webhook_source_settings *settings = source->settings;
    size_t count = 0;
    while (settings->doorbell[count])
        count++;
    struct sl_dataverse **doorbell = sl_calloc(count + 1, sizeof(void *));
    for (size_t i = 0; i < count; i++)
        doorbell[i] = sl_gateway_environment(gateway, settings->doorbell[i]);
    const struct sl_webhook_env env = {
        .state = gateway->state,
        .sink = gateway->amqp_sink,
        .broker = gateway->broker,
        .credits = gateway->ingest_credits,
        .limits = &gateway->config->limits,
        .database = gateway->settings->mongo.database,
        .listeners = gateway->listeners,
        .doorbell = doorbell,
        .alerter = &sl_alerter,
    };
    struct sl_webhook *webhook = sl_webhook_new(&env, source, err);
    free(doorbell);
    return webhook;
}

static void close_webhook(void *environment)
{
    sl_webhook_free(environment);
}

static struct sl_source *open_webhook_feed(struct sl_gateway *gateway, void *environment,
                                           const struct sl_feed_config *feed)
{
    (void)gateway;
    return sl_source_webhook_new(environment, feed);
}

static const char *webhook_trouble(const void *environment)
{
    return sl_webhook_trouble(environment);
}

static void webhook_status(const void *environment, struct sl_buf *buf)
{
    sl_webhook_status(environment, buf);
}

/* --- ingest --- */

static void *open_ingest(struct sl_gateway *gateway, const struct sl_source_config *source,
                         struct sl_err *err)
{
    const struct sl_ingest_env env = {
        .state = gateway->state,
        .sink = gateway->amqp_sink,
        .credits = gateway->ingest_credits,
        .limits = &gateway->config->limits,
        .listeners = gateway->listeners,
        .alerter = &sl_alerter,
    };
    return sl_ingest_new(&env, source, err);
}

static void close_ingest(void *environment)
{
    sl_ingest_free(environment);
}

static struct sl_source *open_ingest_feed(struct sl_gateway *gateway, void *environment,
                                          const struct sl_feed_config *feed)
{
    (void)gateway;
    return sl_source_ingest_new(environment, feed);
}

/* --- all --- */

static const struct sl_kind KINDS[] = {
    {.type = &sl_dmf_config_type,
     .sharing = SL_SHARED_BY_FEED,
     .open = open_dmf,
     .close = close_dmf,
     .open_feed = open_dmf_feed,
     .owns = owns_dmf,
     .feed_waiting_ms = sl_source_dmf_waiting_ms,
     .feed_failure = sl_source_dmf_failure,
     .feed_trouble = sl_source_dmf_trouble,
     .feed_status = sl_source_dmf_status,
     .refresh = sl_source_dmf_refresh},
    {.type = &sl_dataverse_config_type,
     .sharing = SL_SHARED_BY_SOURCE,
     .open = open_dataverse,
     .close = close_dataverse,
     .open_feed = open_dataverse_feed,
     .owns = owns_dataverse,
     .budget_is_used_up = dataverse_budget,
     .feed_waiting_ms = sl_source_dataverse_waiting_ms,
     .trouble = dataverse_trouble,
     .status = dataverse_status,
     .feed_trouble = sl_source_dataverse_trouble,
     .feed_status = sl_source_dataverse_status,
     .refresh = sl_source_dataverse_refresh},
    {.type = &sl_webhook_config_type,
     .late = true,
     .open = open_webhook,
     .close = close_webhook,
     .open_feed = open_webhook_feed,
     .owns = owns_webhook,
     .feed_waiting_ms = sl_source_webhook_waiting_ms,
     .trouble = webhook_trouble,
     .status = webhook_status,
     .feed_trouble = sl_source_webhook_trouble,
     .feed_status = sl_source_webhook_status,
     .no_refresh = "its rows are read back one by one, as events name them; a table with change "
                   "tracking can have a feed of type dataverse"},
    {.type = &sl_ingest_config_type,
     .open = open_ingest,
     .close = close_ingest,
     .open_feed = open_ingest_feed,
     .feed_waiting_ms = sl_source_ingest_waiting_ms,
     .feed_trouble = sl_source_ingest_trouble,
     .feed_status = sl_source_ingest_status,
     .no_refresh = "its rows are posted by others: have them posted again"                },
};

const struct sl_kind *sl_kind_of(const struct sl_config_type *type)
{
    const struct sl_kind *kind = KINDS;
    while (kind->type != type)
        kind++;
    return kind;
}
