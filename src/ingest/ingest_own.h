/* Inside of the ingest source, shared by its parts:
 *
 *   ingest.c  the environment: routes, who may post
 *   feed.c    a feed as a source: batches out, commits in, status; which posts wait for what
 *   post.c    one post: checked, added, confirmed, answered
 *   rows.c    bodies into rows
 *   line.c    whether its versions compare with those that are stored
 *
 * Versions by order of arrival: source/arrival.c. */
#ifndef SL_INGEST_INGEST_OWN_H
#define SL_INGEST_INGEST_OWN_H

#include "base/metric.h"
#include "flow/batcher.h"
#include "ingest/ingest.h"
#include "ingest/rows.h"
#include "ingest/settings.h"
#include "loop/fiber.h"
#include "source/arrival.h"
#include "source/books.h"
#include "source/journal.h"

enum {
    SL_INGEST_PATIENCE_MS = 2000, /* nothing moves for so long: the feed is behind */
};

struct sl_ingest {
    struct sl_ingest_env env;
    const struct sl_source_config *config;
    const struct sl_ingest_source_settings *settings;
    char process[16]; /* in the names of runs: several processes may feed one table */
    struct sl_ingest_feed *feeds;

    struct sl_books books;

    struct sl_metric *strangers;
    uint64_t told_ms; /* loop clock: when a stranger was last logged; 0: never */
};

/* A post whose rows are on their way. Batches are counted as they are closed (flow/batcher.h). */
struct sl_ingest_post {
    struct sl_ingest_post *next;
    uint64_t first, last; /* batches that hold its rows; last is UINT64_MAX while rows are added */
    uint64_t done;        /* of them, how many are confirmed */
    bool failed;          /* one came back */
    struct sl_waitlist changed;
};

enum sl_ingest_outcome {
    SL_INGEST_ACCEPTED,
    SL_INGEST_REFUSED, /* the post is wrong */
    SL_INGEST_BEHIND,  /* not taken at all */
    SL_INGEST_UNSURE,  /* taken, and not confirmed in time */
    SL_INGEST_OUTCOMES,
};

struct sl_ingest_feed {
    struct sl_source source; /* first */
    struct sl_ingest *ingest;
    struct sl_ingest_feed *next;
    const struct sl_feed_config *config;
    const struct sl_ingest_feed_settings *settings;
    char *path; /* of its route */
    struct sl_ingest_plan *plan;
    struct sl_batcher *batcher;
    struct sl_journal *journal;
    struct sl_book book;
    struct sl_arrival *arrival; /* NULL: versions come in a column */
    struct sl_fiber *liner;     /* looks at the stored versions */
    bool fits;                  /* those of posts can be compared with them */
    char misfit[512];           /* why not, or why that is not known; "": nobody has looked yet */
    struct sl_waitlist looked;  /* for the first time */
    uint64_t run_began_ms;      /* loop clock: the open run */
    uint64_t orphans_ms;        /* loop clock: when to look for runs that others left */
    bool told_again;            /* of those that others gave up */

    struct sl_mutex adding; /* rows to the batcher, or ending the run */

    struct sl_ingest_post *posts;
    uint64_t taken, done; /* batches given to the flow; committed or released */
    uint64_t newest;      /* batch that the last row went into */
    uint64_t moved_ms;    /* loop clock: a batch was committed, or the first one began */

    struct sl_metric *outcomes[SL_INGEST_OUTCOMES], *rows;
    char trouble[SL_ERR_TEXT_BYTES];
};

/* --- ingest.c --- */

/* Whether the call shows a token. A route's authorize; ctx is the feed. */
int sl_ingest_authorize(void *ctx, const struct sl_http_call *call);

/* --- feed.c --- */

/* Adds the row of a post, while it holds `adding`. Copies it; the version is in it. ret_run
 * becomes the run's name. Suspends, SL_INGEST_PATIENCE_MS at most. */
int sl_ingest_add(struct sl_ingest_feed *feed, struct sl_ingest_post *post,
                  const struct sl_record *record, char ret_run[SL_NAME_MAX], struct sl_err *err);

/* The post's rows are all added: they go now. */
void sl_ingest_send(struct sl_ingest_feed *feed, struct sl_ingest_post *post);

/* Waits until they are confirmed. SL_CLOSED: a batch came back, or nothing moves; SL_TIMEOUT,
 * SL_CANCELED. */
int sl_ingest_await(struct sl_ingest_feed *feed, struct sl_ingest_post *post, uint64_t deadline_ms);

/* A post begins, and ends (also when nothing was added). */
void sl_ingest_begin(struct sl_ingest_feed *feed, struct sl_ingest_post *post);
void sl_ingest_end(struct sl_ingest_feed *feed, struct sl_ingest_post *post);

/* Batches wait, and none was confirmed for SL_INGEST_PATIENCE_MS. */
bool sl_ingest_is_behind(const struct sl_ingest_feed *feed);

/* --- line.c --- */

/* Begins to look, now and then for as long as the feed lives. */
void sl_ingest_line_start(struct sl_ingest_feed *feed);

/* Why posts are put off: their versions do not compare with those stored, or that is not known yet;
 * NULL: they compare. Suspends until somebody has looked, SL_INGEST_PATIENCE_MS at most. */
const char *sl_ingest_line_misfit(struct sl_ingest_feed *feed);
void sl_ingest_line_stop(struct sl_ingest_feed *feed);

/* --- post.c --- */

/* A route's handler; ctx is the feed. */
void sl_ingest_take(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);

#endif
