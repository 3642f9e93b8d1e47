/* The settings of an "ingest" source (a listener for rows that anybody posts who has the token) and
 * of the feeds that use it. The structs are filled by config/ as the tables say. */
#ifndef SL_INGEST_SETTINGS_H
#define SL_INGEST_SETTINGS_H

#include <stdint.h>

#include "config/shape.h"
#include "source/listen_settings.h"

struct sl_ingest_source_settings {
    struct sl_listen_settings listen;
    char *token;     /* never empty */
    char *old_token; /* still accepted; NULL: none */
};

struct sl_ingest_feed_settings {
    char *version; /* the column that holds a row's version; NULL: order of arrival */
    uint64_t ledger_deadline_ms;
    uint64_t run_span_ms;
};

extern const struct sl_setting sl_ingest_source_table[];
extern const struct sl_setting sl_ingest_feed_table[];

/* The row for the registry. */
extern const struct sl_config_type sl_ingest_config_type;

#endif
