/* The settings of a "dmf" source (a Finance & Operations environment) and of the feeds that use it
 * (a data project of one company). The structs are filled by config/ as the tables say. */
#ifndef SL_DMF_SETTINGS_H
#define SL_DMF_SETTINGS_H

#include <stdint.h>

#include "config/shape.h"
#include "source/auth_settings.h"

struct sl_dmf_source_settings {
    char *url;
    struct sl_auth_settings auth;
    uint64_t request_timeout_ms;
    uint64_t poll_interval_ms;
    uint64_t poll_max_ms;
    uint64_t stall_timeout_ms;
};

/* How the data files are encoded; an index into the choices of "file_encoding". */
enum sl_dmf_encoding { SL_DMF_ENCODING_AUTO, SL_DMF_ENCODING_UTF8, SL_DMF_ENCODING_UTF16LE };

struct sl_dmf_feed_settings {
    char *definition_group;
    char *full_definition_group; /* NULL: none */
    char *legal_entity;
    char *package_name; /* NULL: the execution's id */
    int file_encoding;  /* enum sl_dmf_encoding */
    int delimiter;      /* see sl_dmf_delimiter */
    uint64_t start_grace_ms;
    uint64_t execution_deadline_ms;
    uint64_t url_deadline_ms;
    uint64_t ledger_deadline_ms;
    uint64_t max_package_bytes;
    int64_t sweep_limit_percent;
    char **formerly; /* names that the feed had before, ended by NULL; NULL: none */
};

extern const struct sl_setting sl_dmf_source_table[];
extern const struct sl_setting sl_dmf_feed_table[];

/* The row for the registry. */
extern const struct sl_config_type sl_dmf_config_type;

/* The character between two cells. */
char sl_dmf_delimiter(const struct sl_dmf_feed_settings *settings);

#endif
