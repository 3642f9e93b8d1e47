/* What a person sees of a refresh: each step once, and the end. */
#ifndef SL_CLI_REFRESH_SHOW_H
#define SL_CLI_REFRESH_SHOW_H

#include <stdio.h>

#include "config/config.h"
#include "flow/state.h"

struct sl_refresh_show {
    struct sl_state *state;
    const struct sl_feed_config *feed;
    FILE *talk;
    uint64_t since_ms;            /* private, as those below: loop clock, when it was first seen */
    bool impatient, troubled;     /* that was told */
    char said[SL_ERR_TEXT_BYTES]; /* what was told last */
};

/* Tells how far it is, when that is news. Suspends. */
void sl_refresh_show_progress(struct sl_refresh_show *show, const struct sl_refresh *refresh);

/* The state cannot be asked: told once. */
void sl_refresh_show_trouble(struct sl_refresh_show *show, const struct sl_err *err);

/* Tells how it ended; of a dry run prints the ids to stdout, "collection<tab>id" a line. Suspends.
 */
int sl_refresh_show_end(struct sl_refresh_show *show, const struct sl_refresh *refresh,
                        struct sl_err *err);

#endif
