/* Inside of the webhook source, shared by its parts. A post is answered by the first ones:
 *
 *   post.c     the secret, bells, answers
 *   event.c    what a post says
 *   at_once.c  a row read back while its post waits
 *   letter.c   events into the queue <exchange>.events.NAME, at once or later, and out of it
 *   missed.c   events that could not be taken
 *   bells.c    bells from and to other processes
 *
 * and what they name is read back by the owner of the environment, on its way through
 *
 *   events.c   deliveries
 *   kept.c     events of a table that fails, to the end of their queue
 *   jobs.c     one request an id at a time
 *   table.c    metadata of the tables that are read
 *   read.c     the request
 *   batch.c    rows into batches
 *   feed.c     batches into the flow, commits back
 *
 * What both need:
 *
 *   webhook.c  the environment: its fibers, status
 *   link.c     a connection to RabbitMQ that is kept up
 *   queues.c   whether the queues of events were lost */
#ifndef SL_WEBHOOK_WEBHOOK_OWN_H
#define SL_WEBHOOK_WEBHOOK_OWN_H

#include "base/metric.h"
#include "broker/topology.h"
#include "dataverse/reach.h"
#include "dataverse/table.h"
#include "flow/batcher.h"
#include "loop/fiber.h"
#include "source/arrival.h"
#include "source/books.h"
#include "source/idset.h"
#include "source/journal.h"
#include "webhook/event.h"
#include "webhook/settings.h"
#include "webhook/webhook.h"

/* --- link.c --- */

struct sl_hook_link_type {
    const char *name; /* of the connection, in RabbitMQ's own pages */
    /* What is to be done on a fresh connection. Suspends. */
    int (*open)(void *ctx, struct sl_amqp *amqp, uint64_t deadline_ms, struct sl_err *err);
    /* Frees the channels, after the connection was closed in order. */
    void (*shut)(void *ctx);
    /* Whether the connection is wanted, and waiting until it may be (both NULL: always). */
    bool (*wanted)(void *ctx);
    int (*wait)(void *ctx);
};

struct sl_hook_link {
    const struct sl_hook_link_type *type;
    void *ctx;
    const struct sl_broker *broker;
    struct sl_amqp *amqp;
    struct sl_fiber *keeper;
    bool up;   /* opened, and not over */
    bool over; /* lost, or no longer good */
    struct sl_err why;
    unsigned waiting; /* fibers that cannot go on without it */
    struct sl_waitlist changed, hurry;
    char trouble[SL_ERR_TEXT_BYTES]; /* "" when all is well */
};

/* Starts the fiber. broker and ctx live longer. */
void sl_hook_link_start(struct sl_hook_link *link, const struct sl_hook_link_type *type,
                        const struct sl_broker *broker, void *ctx);
/* Closes the connection and ends the fiber. Suspends. A link that was stopped, or never started, is
 * fine. */
void sl_hook_link_stop(struct sl_hook_link *link);
/* The connection ends and is made anew: after a pause, or, when why is SL_OK, at once. Does not
 * suspend. */
void sl_hook_link_end(struct sl_hook_link *link, const struct sl_err *why);
/* Logs what is wrong, and shows it until the next connection is up. Does not suspend. */
void sl_hook_link_trouble(struct sl_hook_link *link, const struct sl_err *err);
/* Waits until the link is up. Suspends. SL_TIMEOUT with what is wrong, SL_CANCELED. */
int sl_hook_link_wait(struct sl_hook_link *link, uint64_t deadline_ms, struct sl_err *err);

/* --- deliveries, claims, sheaves --- */

/* A post that waits until its rows are safe. */
struct sl_hook_waiter {
    bool over, safe;
    struct sl_waitlist ended;
};

/* An event that RabbitMQ delivered, or a post brought, and that is not answered yet. */
struct sl_hook_delivery {
    bool posted;                   /* it is in no queue */
    struct sl_hook_waiter *waiter; /* … and who waits for it; NULL: nobody any more */
    uint64_t tag;
    uint32_t generation; /* of the channel that brought it */
    uint32_t pending;    /* rows of it that are not safe yet */
    bool failed;         /* one of them will never be: it must be delivered again */
    bool handed_back;    /* that is so already, and nobody waits for its rows */
    uint64_t give_up_ms; /* loop clock: it must be handed back by then */
    struct sl_hook_delivery *before, *after; /* of those that are held */
};

/* A row's share in a delivery. */
struct sl_hook_claim {
    struct sl_hook_claim *next;
    struct sl_hook_delivery *delivery;
};

/* The claims on the rows of one batch. */
struct sl_hook_sheaf {
    struct sl_hook_sheaf *next;
    uint64_t number; /* the batch's tag */
    struct sl_hook_claim *claims;
};

/* --- parts --- */

enum { SL_HOOK_ID_BYTES = 2 * SL_GUID_BYTES, SL_HOOK_BUCKETS = 256 };

/* What is read back: a row, or the association of two. */
struct sl_hook_pair {
    struct sl_webhook_row row, related; /* related: empty when it is a row alone */
};

/* Rows whose events were answered 503, and none was taken since. */
struct sl_hook_missed {
    char (*ids)[SL_HOOK_ID_BYTES]; /* NULL: none yet */
    uint32_t count;
    bool more;        /* there was no room for further ids: whether those came again nobody knows */
    uint64_t tell_ms; /* loop clock: an operator is to be told then; 0: of nothing */
    uint64_t latest_ms; /* tell_ms is put off until then at most */
};

/* Reading one back; one job an id at most. */
struct sl_hook_job {
    struct sl_hook_job *next;     /* of its bucket */
    struct sl_hook_job *next_due; /* waits for its turn */
    struct sl_webhook_feed *feed;
    struct sl_hook_pair pair;
    char id[SL_HOOK_ID_BYTES];     /* the document's */
    int64_t at_ms;                 /* wall clock of the service: the newest event; 0: none */
    int64_t epoch;                 /* the feed's, when it was asked for */
    bool failing;                  /* it was asked for in vain, and will be again */
    struct sl_hook_claim *waiting; /* not part of the reading that is under way */
    struct sl_fiber *fiber;        /* NULL: not begun */
};

/* What a row is found to be like. Zeroed = ready; ended by sl_hook_reading_done. */
struct sl_hook_reading {
    bool exists;
    int64_t version;       /* of the record */
    int64_t changed_at_ms; /* wall clock of the service; 0: not known */
    struct sl_buf doc;     /* BSON; of a dead row as much as could be read */
    const char *dead_code; /* NULL: the row is fine */
    char dead_reason[SL_ERR_TEXT_BYTES];
};

/* A table's metadata, as long as somebody uses it. */
struct sl_hook_table {
    struct sl_hook_table *next;
    char name[SL_TABLE_NAME_BYTES];
    char *const *select;           /* of the feed that reads it; part of the key */
    unsigned users;                /* the list counts as one */
    struct sl_idset strangers;     /* columns that it lacks, even read anew */
    char sight[SL_ERR_TEXT_BYTES]; /* not all of it can be seen; "": not that we know */
    uint64_t read_ms;              /* loop clock, as the next two */
    uint64_t again_ms;             /* to be read again then */
    bool doubted;                  /* a column of it may be new, gone, or of another type */
    uint64_t doubted_ms;           /* last, it or one before it; 0: never */
    struct sl_dataverse_table it;
};

/* A bell for a table whose owner is another process. */
struct sl_hook_bell {
    struct sl_hook_bell *next;
    const struct sl_dataverse *dataverse;
    char table[SL_TABLE_NAME_BYTES];
    uint64_t sent_ms; /* loop clock; 0: never */
    bool due;         /* rung again since */
};

struct sl_hook_counts {
    struct sl_metric *bell, *passed_on, *read_back, *queued, *unclaimed, *malformed, *refused,
        *unavailable;
    struct sl_metric *unreadable; /* events, in their queue */
};

struct sl_webhook {
    struct sl_webhook_env env;
    const struct sl_source_config *config;
    const struct sl_webhook_source_settings *settings;
    struct sl_dataverse **doorbell; /* ended by NULL; the first one reads rows back */
    struct sl_webhook_feed *feeds;
    bool closing;

    char path[SL_NAME_MAX + 16];
    struct sl_http_route route;
    struct sl_hook_counts counts;
    uint64_t refusal_logged_ms, malformed_logged_ms;
    struct sl_idset unclaimed, synchronous; /* tables that were logged */

    struct sl_hook_link out; /* publishes events, carries bells both ways */
    struct sl_channel *publish, *bells_out, *bells_in;
    char events_queue[SL_QUEUE_NAME_MAX], bells_exchange[SL_QUEUE_NAME_MAX];
    char later_queue[SL_QUEUE_NAME_MAX]; /* leads to events_queue */
    uint64_t failing_since_ms; /* loop clock: no event could be published since; 0: it can */
    uint64_t published;        /* events so far */
    uint64_t at_once_after_ms; /* loop clock: until then rows take their time */
    struct sl_hook_bell *bells;
    uint64_t bells_heard;
    uint64_t try_bells_ms; /* loop clock: when to see whether they may be rung, after a refusal */
    struct sl_waitlist ring;
    struct sl_fiber *ringer;

    struct {
        int64_t made_ms;  /* wall clock: they were not there; 0: they were, or that is noted */
        bool news, noted; /* noted: since the process began */
        struct sl_waitlist declared;
    } queues;
    struct sl_fiber *noter;

    struct sl_hook_link in; /* consumes events, while this process owns the environment */
    struct sl_channel *events;
    uint32_t generation; /* of that channel */
    int64_t epoch;       /* under which it was opened */
    struct sl_hook_job *jobs[SL_HOOK_BUCKETS];
    struct sl_hook_job *first_due, *last_due;
    unsigned running; /* jobs that ask … */
    unsigned pausing; /* … and that will again */
    unsigned failing; /* of both, those that failed last time */
    struct sl_waitlist idle;

    struct sl_hook_delivery *first_held, *last_held; /* of the queue, the oldest first */
    struct sl_hook_kept *first_kept, *last_kept;
    struct sl_waitlist kept; /* one of either came */
    struct sl_fiber *mover;

    struct sl_hook_table *tables;
    bool learning; /* one fiber at a time */
    struct sl_waitlist learned;
    struct sl_arrival *arrival; /* versions; NULL: this process never owned the environment */

    struct sl_books books;
};

struct sl_webhook_feed {
    struct sl_source source; /* first */
    struct sl_webhook *webhook;
    struct sl_webhook_feed *next;
    const struct sl_feed_config *config;
    const struct sl_webhook_feed_settings *settings;
    struct sl_batcher *batcher;
    struct sl_journal *journal;
    struct sl_book book;

    int64_t epoch;                 /* under which the journal was taken up; 0: it was not */
    bool broken;                   /* a batch came back: runs are to be given up */
    bool finished;                 /* its last run has ended: no row comes into it any more */
    struct sl_mutex adding;        /* rows to the batcher, or ending the run */
    uint64_t due_ms;               /* loop clock: the open run ends; 0: none is open */
    unsigned held_up;              /* jobs that wait for an operator */
    uint64_t failing_until_ms;     /* loop clock: it failed not long ago; 0: it works */
    bool alerted;                  /* … who was told */
    char sight[SL_ERR_TEXT_BYTES]; /* its tables' */
    uint64_t sheaf_number;
    struct sl_hook_sheaf *sheaves;
    struct sl_waitlist taken;

    char trouble[SL_ERR_TEXT_BYTES];
    struct sl_hook_missed missed;
    uint64_t missed_rows; /* that were told of, by this process … */
    bool missed_more;     /* … and that there may be more */
    uint64_t upserts, deletions, dead;
    struct sl_metric *upserts_metric, *deletions_metric, *dead_metric, *failed_metric;
};

/* The dataverse source that reads rows back. */
static inline struct sl_dataverse *sl_hook_reader(const struct sl_webhook *webhook)
{
    return webhook->doorbell[0];
}

/* Whether this process owns the environment, under the epoch in which the feed was taken up. */
static inline bool sl_hook_feed_is_ours(const struct sl_webhook_feed *feed)
{
    return feed->epoch && feed->epoch == sl_dataverse_epoch(sl_hook_reader(feed->webhook));
}

/* --- post.c --- */

/* Of the route. */
int sl_hook_authorize(void *ctx, const struct sl_http_call *call);
void sl_hook_post(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);

/* --- at_once.c --- */

enum { SL_HOOK_AT_ONCE_MS = 2000 }; /* a post waits, then its event is queued after all */

/* Reads back what an event names for a feed, if that can be done now. Suspends. SL_OK: RabbitMQ has
 * what was read. SL_TIMEOUT: the event belongs into the queue. SL_CANCELED. */
int sl_hook_read_at_once(struct sl_webhook *webhook, struct sl_webhook_feed *feed,
                         const struct sl_webhook_event *event, uint64_t until_ms,
                         struct sl_err *err);

/* --- bells.c --- */

/* Has the process ring that owns the environment. Does not suspend. */
void sl_hook_pass_on(struct sl_webhook *webhook, const struct sl_dataverse *dataverse,
                     const char *table);
/* The user may not ring: the link is in trouble, and none is passed on until he may. Does not
 * suspend. */
void sl_hook_bells_refused(struct sl_webhook *webhook, const struct sl_err *why);
/* A fiber: passes on what came too soon after the last bell. */
void sl_hook_run_bells(void *webhook);
/* Of the channel that hears bells: a delivery. */
void sl_hook_hear_bell(void *webhook, const struct sl_amqp_delivery *delivery);
void sl_hook_bells_done(struct sl_webhook *webhook);

/* --- queues.c --- */

/* Declares the queues of events on a fresh connection. Suspends; fails as
 * sl_topology_declare_events. */
int sl_hook_declare_queues(struct sl_webhook *webhook, struct sl_amqp *amqp, uint64_t deadline_ms,
                           struct sl_err *err);
/* A fiber: notes when they were made, and tells when they had been there before. */
void sl_hook_run_queues(void *webhook);

/* --- letter.c --- */

extern const struct sl_hook_link_type sl_hook_out_type;

/* Writes what an event means for a feed into its queue, and waits for the confirm. One that may be
 * told inside its transaction goes into the queue of later: a row that is read before that has
 * ended is the old one. Suspends. Fails with SL_TIMEOUT, SL_CLOSED, SL_CONFIG (the user may not),
 * SL_CANCELED: it may be lost. */
int sl_hook_publish(struct sl_webhook *webhook, const struct sl_webhook_feed *feed,
                    const struct sl_webhook_event *event, uint64_t deadline_ms, struct sl_err *err);

/* How much an event names for a feed, and each of it. */
uint32_t sl_hook_pair_count(const struct sl_webhook_feed *feed,
                            const struct sl_webhook_event *event);
struct sl_hook_pair sl_hook_pair_of(const struct sl_webhook_feed *feed,
                                    const struct sl_webhook_event *event, uint32_t index);

/* The id of its document. */
void sl_hook_pair_id(const struct sl_hook_pair *pair, char ret[SL_HOOK_ID_BYTES]);

/* Writes what such a message said into its queue once more. Suspends; fails likewise. */
int sl_hook_publish_again(struct sl_webhook *webhook, struct sl_str body, uint64_t deadline_ms,
                          struct sl_err *err);

/* Reads such a message: gives what is to be read back (free), and the feed. SL_REJECTED: it is
 * none, or of a feed that is not there. */
struct sl_hook_letter {
    struct sl_webhook_feed *feed;
    struct sl_hook_pair *pairs;
    uint32_t count;
    int64_t at_ms;
};
int sl_hook_letter_read(struct sl_webhook *webhook, struct sl_str body, struct sl_hook_letter *ret,
                        struct sl_err *err);

/* --- missed.c --- */

/* A feed's event was answered 503, or is taken. Neither suspends. */
void sl_hook_missed_note(struct sl_webhook_feed *feed, const struct sl_webhook_event *event);
void sl_hook_missed_taken(struct sl_webhook_feed *feed, const struct sl_webhook_event *event);

/* Tells of the rows of which none was taken, when no other was missed for ledger_deadline, or for
 * four times that. *wait_ms may be made earlier: when to call it again at the latest. */
void sl_hook_missed_tell_due(struct sl_webhook_feed *feed, uint64_t *wait_ms);

/* The same for all of them: the feed ends. */
void sl_hook_missed_tell(struct sl_webhook_feed *feed);

/* --- events.c --- */

extern const struct sl_hook_link_type sl_hook_in_type;

/* Ends the claims of a row: it is safe, or (false) it must come again. Frees them. */
void sl_hook_claims_end(struct sl_webhook *webhook, struct sl_hook_claim *claims, bool safe);

/* Hands back the deliveries that were held for too long, whatever their rows wait for: a turn in
 * the budget, a description, RabbitMQ itself. Gives when to call it again. Does not suspend. */
uint64_t sl_hook_hand_back_due(struct sl_webhook *webhook);

/* How many of those that are delivered at a time may wait for what fails. */
unsigned sl_hook_failing_max(const struct sl_webhook *webhook);

/* --- kept.c --- */

/* An event that waits for half a second. */
struct sl_hook_kept {
    struct sl_hook_kept *next;
    uint64_t tag;
    uint32_t generation; /* of the channel that brought it */
    char *body;
    size_t size;
    uint64_t until_ms; /* loop clock */
};

/* Keeps a delivery of the queue of events for a while, then puts it behind the others. Takes its
 * body. Does not suspend. */
void sl_hook_keep(struct sl_webhook *webhook, const struct sl_amqp_delivery *delivery);
/* A fiber; it looks after all that is held, too. */
void sl_hook_run_kept(void *webhook);
/* They are delivered again. Does not suspend. */
void sl_hook_kept_drop(struct sl_webhook *webhook);

/* --- jobs.c --- */

/* How many rows are asked for at the same time. */
unsigned sl_hook_jobs_max(const struct sl_webhook *webhook);

/* As many rows wait for what fails as may, and this feed fails: its events make room for the
 * others'. */
bool sl_hook_jobs_full(const struct sl_webhook_feed *feed);

/* It is to be read back; merges with a job of the same id. Takes claim. Does not suspend. */
void sl_hook_jobs_add(struct sl_webhook_feed *feed, const struct sl_hook_pair *pair, int64_t at_ms,
                      struct sl_hook_claim *claim);
/* Drops the jobs that have not begun: their events are void, or are delivered again. */
void sl_hook_jobs_drop(struct sl_webhook *webhook);
/* Cancels all jobs and waits for their end. Suspends. */
void sl_hook_jobs_stop(struct sl_webhook *webhook);

/* --- table.c --- */

/* Gives the table's metadata (sl_hook_table_put), read when that is due. Suspends.
 * Fails like sl_dataverse_table_read. */
int sl_hook_table_get(struct sl_webhook *webhook, const char *name, char *const *select,
                      struct sl_hook_table **ret, struct sl_err *err);
void sl_hook_table_put(struct sl_hook_table *table);

/* A row has a column that it lacks. Returns whether it will be read again at once, so that the row
 * must not be stored before; false when that was done: the value speaks for itself then. */
bool sl_hook_table_lacks(struct sl_hook_table *table, struct sl_str column);

/* The service refuses what was asked for by it, or answers with a value of another type: a column
 * may be gone, or made anew. Returns whether it will be read again at once, so that another try is
 * worth it; false when that was done shortly before. */
bool sl_hook_table_doubt(struct sl_hook_table *table);
void sl_hook_tables_done(struct sl_webhook *webhook);

/* --- read.c --- */

/* Asks the service once. Suspends. SL_OK: *ret is known. SL_REJECTED: the service refuses to tell.
 * Else like sl_dataverse_open. */
int sl_hook_read(const struct sl_hook_job *job, struct sl_hook_reading *ret, struct sl_err *err);
void sl_hook_reading_done(struct sl_hook_reading *reading);

/* --- batch.c --- */

/* Adds what was read to the feed's batches. Suspends. On SL_OK takes the claims, which end when the
 * batch is committed. SL_CLOSED: the owner has changed; SL_CANCELED. */
int sl_hook_feed_add(const struct sl_hook_job *job, const struct sl_hook_reading *reading,
                     struct sl_hook_claim *claims, struct sl_err *err);
/* The rows of the batch are safe, or (false) must come again. */
void sl_hook_feed_end_sheaf(struct sl_webhook_feed *feed, const struct sl_batch *batch, bool safe);
/* The events behind what is on its way are void: they are delivered again. */
void sl_hook_feed_drop_sheaves(struct sl_webhook_feed *feed);

/* --- feed.c --- */

/* The feed is in trouble, or no longer (""). */
void sl_hook_feed_trouble(struct sl_webhook_feed *feed, const char *text);
/* Not all of its tables can be seen, or ("") they can. Tells an operator. */
void sl_hook_feed_sees(struct sl_webhook_feed *feed, const char *sight);
/* Takes up the journal as the owner since epoch, or gives up what is broken. Suspends. */
int sl_hook_feed_take_up(struct sl_webhook_feed *feed, int64_t epoch, struct sl_err *err);

#endif
