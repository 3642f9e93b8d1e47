/* The settings of a "webhook" source (a listener for the events of a Dataverse environment) and of
 * the feeds that use it (a table, or a relationship, whose rows are read back one by one). The
 * structs are filled by config/ as the tables say. */
#ifndef SL_WEBHOOK_SETTINGS_H
#define SL_WEBHOOK_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/shape.h"
#include "source/listen_settings.h"

/* What a request must show. */
struct sl_webhook_secret {
    char *header, *query; /* its name; exactly one of the two, the other is NULL */
    char *value;          /* never empty */
    char *old_value;      /* still accepted; NULL: none */
};

struct sl_webhook_source_settings {
    struct sl_listen_settings listen;
    char **doorbell; /* names of "dataverse" sources of one environment; ended by NULL, not empty */
    struct sl_webhook_secret secret;
};

struct sl_webhook_feed_settings {
    char *table, *relationship; /* exactly one of the two, the other is NULL */
    char **select;              /* columns of the table, ended by NULL; NULL: all of them */
    bool formatted_values;
    uint64_t ledger_deadline_ms;
    uint64_t run_span_ms;
};

extern const struct sl_setting sl_webhook_source_table[];
extern const struct sl_setting sl_webhook_feed_table[];

/* The row for the registry. */
extern const struct sl_config_type sl_webhook_config_type;

#endif
