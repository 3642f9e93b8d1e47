/* The settings of a "dataverse" source (an environment, read by one application user) and of the
 * feeds that use it (a table each). The structs are filled by config/ as the tables say. */
#ifndef SL_DATAVERSE_SETTINGS_H
#define SL_DATAVERSE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "source/auth_settings.h"

/* What the service grants an application user, and what share of it sluice takes. */
struct sl_budget_settings {
    int64_t requests;      /* in a window */
    uint64_t execution_ms; /* in a window */
    uint64_t window_ms;
    int64_t concurrency;      /* requests under way at once */
    int64_t use_percent;      /* of requests and execution time */
    int64_t requests_per_day; /* that sluice makes in any 24 hours at most; 0: not counted */
};

struct sl_dataverse_source_settings {
    char *url;
    struct sl_auth_settings auth;
    uint64_t request_timeout_ms;
    int64_t page_size; /* rows */
    struct sl_budget_settings budget;
};

/* Who waits last when the budget is short; an index into the choices of "priority". */
enum sl_dataverse_priority {
    SL_DATAVERSE_PRIORITY_LOW,
    SL_DATAVERSE_PRIORITY_NORMAL,
    SL_DATAVERSE_PRIORITY_HIGH,
};

struct sl_dataverse_feed_settings {
    char *table;     /* logical name; also the feed's one entity */
    char **select;   /* columns, ended by NULL; NULL: all of them */
    char **formerly; /* names that the feed had before, ended by NULL; NULL: none */
    bool formatted_values;
    uint64_t every_ms;
    uint64_t min_interval_ms; /* 0: not said, see sl_dataverse_min_interval_ms */
    uint64_t max_interval_ms; /* less than every_ms: not said, every_ms is meant */
    int priority;             /* enum sl_dataverse_priority */
    int64_t sweep_limit_percent;
    uint64_t ledger_deadline_ms;
    uint64_t run_span_ms;
};

extern const struct sl_setting sl_dataverse_source_table[];
extern const struct sl_setting sl_dataverse_feed_table[];

/* The row for the registry. */
extern const struct sl_config_type sl_dataverse_config_type;

/* How soon a busy table is polled again: as its feed says, else after a third of "every", but not
 * before a second has passed; never later than "every". */
uint64_t sl_dataverse_min_interval_ms(const struct sl_dataverse_feed_settings *feed);

/* Whether the table, by its logical name, is one of Finance & Operations, whose database has a
 * counter of row versions of its own. NULL is fine. */
bool sl_dataverse_is_of_fo(const char *table);

/* Notes what cannot be the name of a table or a column in "table" and "select" of feed. Either may
 * be NULL. For the checks of the types that read tables. */
void sl_dataverse_check_names(const struct sl_feed_config *feed, const char *table,
                              char *const *select, struct sl_problems *problems);

#endif
