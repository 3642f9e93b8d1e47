/* All that the configuration may hold: its sections and the kinds of sources. What is new gets its
 * row in registry.c; gateway.c starts it. */
#ifndef SL_CLI_REGISTRY_H
#define SL_CLI_REGISTRY_H

#include "broker/settings.h"
#include "config/shape.h"
#include "http/client.h"
#include "mongo/settings.h"
#include "ops/alert.h"
#include "ops/ops.h"

/* What the sections fill: config->settings is one of these. */
struct sl_settings {
    struct sl_broker_settings broker;
    struct sl_mongo_settings mongo;
    struct sl_http_options http;
    struct sl_ops_settings ops;
    struct sl_alert_settings alerts;
};

extern const struct sl_config_shape sl_registry_shape;

/* The section of that name; it must exist. */
const struct sl_config_section *sl_registry_section(const char *name);

#endif
