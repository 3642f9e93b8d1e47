/* The kinds of sources, and how each is brought to life: an environment for each entry under
 * "sources", and a flow's source for each feed that uses it. What is new gets its row in kinds.c.
 */
#ifndef SL_CLI_KINDS_H
#define SL_CLI_KINDS_H

#include "base/str.h"
#include "config/config.h"
#include "flow/source.h"

struct sl_gateway;

/* What one process at a time works on: the lease is "feed:NAME", or "source:NAME" for all feeds of
 * a source together. */
enum sl_sharing { SL_SHARED_BY_NONE, SL_SHARED_BY_FEED, SL_SHARED_BY_SOURCE };

struct sl_kind {
    const struct sl_config_type *type;
    enum sl_sharing sharing;
    bool late; /* it uses environments of other kinds: these are opened before, closed after it */

    /* NULL with an error when the settings cannot be used. May not suspend. */
    void *(*open)(struct sl_gateway *gateway, const struct sl_source_config *source,
                  struct sl_err *err);
    /* Suspends. Its feeds were closed before. */
    void (*close)(void *environment);
    struct sl_source *(*open_feed)(struct sl_gateway *gateway, void *environment,
                                   const struct sl_feed_config *feed);

    /* What the outside sees; all but the last two may be NULL. */
    bool (*owns)(const void *environment, const struct sl_source *feed); /* NULL: always */
    bool (*budget_is_used_up)(const void *environment, char ret_why[SL_ERR_TEXT_BYTES]);
    uint64_t (*feed_waiting_ms)(const struct sl_source *feed); /* confirmed, not stored */
    const char *(*trouble)(const void *environment);
    void (*status)(const void *environment, struct sl_buf *buf);
    /* What was wrong with what the feed has done, while its source may be well. */
    const char *(*feed_failure)(const struct sl_source *feed);
    const char *(*feed_trouble)(const struct sl_source *feed);
    void (*feed_status)(const struct sl_source *feed, struct sl_buf *buf);

    /* The state may hold a refresh of the feed: it is taken up soon. Must not suspend. NULL: feeds
     * of this kind cannot be read in full, and no_refresh says why. */
    void (*refresh)(struct sl_source *feed);
    const char *no_refresh;
};

const struct sl_kind *sl_kind_of(const struct sl_config_type *type);

#endif
