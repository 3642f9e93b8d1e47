/* The links of pages and deltas. A client follows them as they are; what they say is the service's
 * own business. Source for their looks: "Use change tracking to synchronize data with external
 * systems", "Page results". */
#ifndef SIM_DATAVERSE_LINK_H
#define SIM_DATAVERSE_LINK_H

#include "sim/dataverse/call.h"

/* Where the next page begins. */
struct dv_cursor {
    bool delta;
    bool tracked;
    int64_t since; /* of a delta: changes above this version */
    int64_t until; /* the version when the first page was made: the next delta begins there */
    uint32_t end;  /* rows, or log entries, that there were then */
    uint32_t at;
    uint32_t phase; /* of a delta: 0 first half, 1 second half */
    uint32_t page;
};

/* Adds the link to the next page, or to the next delta, as a JSON string. */
void dv_link_next(const struct dv_call *call, const struct dv_table *table,
                  const struct dv_cursor *cursor, struct sim_text *out);
void dv_link_delta(const struct dv_call *call, const struct dv_table *table, int64_t version,
                   struct sim_text *out);

/* Reads what stands behind $skiptoken= (decoded). False when it was altered or is another table's.
 */
bool dv_link_read_skip(const struct dv_table *table, const char *text,
                       struct dv_cursor *ret_cursor);

/* Reads what stands behind $deltatoken= (decoded): the version, and when it was given. */
bool dv_link_read_delta(const char *text, int64_t *ret_version, int64_t *ret_given_ms);

#endif
