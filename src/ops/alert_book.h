/* The book of alerts: what is raised, what is to be told of it, and when. Pure: the caller tells
 * the time (milliseconds of a clock that never goes back, and of the wall for people).
 *
 *     calm ──bad──► pending ──bad for hold_ms──► raised ──good──► fading ──good for clear_ms──►
 * calm
 *
 * An event is raised and cleared at once. What is raised is told after a grouping window, together
 * with all else that is to be told then; while it lasts it is told again every repeat_ms; and its
 * end is told if its beginning was. Of one kind and subject (of notices, one title, too) no
 * beginning is told sooner than repeat_ms after the last one, and no more than max_per_hour
 * messages are sent in all. */
#ifndef SL_OPS_ALERT_BOOK_H
#define SL_OPS_ALERT_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alert_kind.h"
#include "base/str.h"

enum { SL_ALERT_PER_HOUR_MAX = 60 };

struct sl_alert_rules {
    uint64_t group_ms;    /* what is raised within this time goes into one message */
    uint64_t repeat_ms;   /* between two messages that say that the same is raised */
    int64_t max_per_hour; /* messages; at most SL_ALERT_PER_HOUR_MAX */
};

struct sl_alert_time {
    uint64_t ms;     /* of the clock that never goes back */
    int64_t wall_ms; /* for people */
};

/* What a condition looks like at the moment. */
enum sl_alert_look { SL_ALERT_GOOD, SL_ALERT_BAD, SL_ALERT_UNKNOWN /* no news: as it was */ };

struct sl_alert_condition {
    enum sl_alert_kind kind;
    const char *subject;
    enum sl_alert_look look;
    uint64_t hold_ms;         /* raised when it was bad for so long … */
    uint64_t clear_ms;        /* … and over when it was good for so long */
    const char *title, *text; /* while it is bad */
};

/* What a message says of an alert. */
enum sl_alert_change { SL_ALERT_IS_RAISED, SL_ALERT_STILL_RAISED, SL_ALERT_IS_OVER };

struct sl_alert_line {
    enum sl_alert_kind kind;
    enum sl_alert_change change;
    char *subject, *title, *text;
    int64_t raised_wall_ms;
    int64_t over_wall_ms; /* 0: it is not; also one that IS_RAISED may be over by now */
    unsigned earlier;     /* texts of this notice before this one that no message told */
    bool news;            /* private: the message tells of its beginning for the first time */
};

struct sl_alert_message {
    struct sl_alert_line *lines; /* raised, then still raised, then over */
    size_t count;
    unsigned held_back; /* told by no message since the last one: repetitions */
    uint64_t waited_ms; /* how much later than its group it is, because of max_per_hour */
};

struct sl_alert_book;

/* Heap; sl_alert_book_free. */
struct sl_alert_book *sl_alert_book_new(void);
void sl_alert_book_free(struct sl_alert_book *book);

/* Rules may be changed at any time; what is raised stays so. */
void sl_alert_book_rule(struct sl_alert_book *book, const struct sl_alert_rules *rules);

/* An event. True when it is news: it was not raised, or has another text. */
bool sl_alert_book_raise(struct sl_alert_book *book, enum sl_alert_kind kind, const char *subject,
                         const char *title, const char *text, struct sl_alert_time now);

/* Its end. True when it was raised. */
bool sl_alert_book_clear(struct sl_alert_book *book, enum sl_alert_kind kind, const char *subject,
                         struct sl_alert_time now);

/* A look at a condition, a few seconds after the one before. Returns what it did: SL_ALERT_BAD
 * raised it, SL_ALERT_GOOD ended it, SL_ALERT_UNKNOWN neither. */
enum sl_alert_look sl_alert_book_observe(struct sl_alert_book *book,
                                         const struct sl_alert_condition *condition,
                                         struct sl_alert_time now);

/* Forgets those for which keep says no, as if they had never been: nobody here will learn of their
 * end. True when there were any. */
typedef bool sl_alert_keep(void *ctx, enum sl_alert_kind kind, const char *subject);
bool sl_alert_book_keep(struct sl_alert_book *book, sl_alert_keep *keep, void *ctx);

bool sl_alert_book_is_raised(const struct sl_alert_book *book, enum sl_alert_kind kind,
                             const char *subject);

/* How many of the kind are raised. */
unsigned sl_alert_book_count(const struct sl_alert_book *book, enum sl_alert_kind kind);

/* When the next message is due; UINT64_MAX: there is nothing to tell. In a hurry neither group nor
 * rate count: 0 when there is news. */
uint64_t sl_alert_book_due(const struct sl_alert_book *book, bool hurry, struct sl_alert_time now);

/* The process ends: notices that are held back are to be told now, since nobody will know of them
 * later. */
void sl_alert_book_hurry(struct sl_alert_book *book, struct sl_alert_time now);

/* Gives the message that is due: all that is to be told by now. It counts as told, until
 * sl_alert_book_failed. */
void sl_alert_book_take(struct sl_alert_book *book, struct sl_alert_message *ret,
                        struct sl_alert_time now);

/* Nobody took the message: what it said is to be told again_ms from now, if it is still so. */
void sl_alert_book_failed(struct sl_alert_book *book, const struct sl_alert_message *message,
                          uint64_t again_ms, struct sl_alert_time now);

void sl_alert_message_done(struct sl_alert_message *message);

/* Adds a JSON list of what is raised, the oldest first: [{"kind":"lag","subject":"account",
 * "title":"…","text":"…","since":"2026-11-22T03:10:00.120Z","told":true}]. has_targets: else nobody
 * was told. */
void sl_alert_book_status(const struct sl_alert_book *book, bool has_targets, struct sl_buf *buf);

#endif
