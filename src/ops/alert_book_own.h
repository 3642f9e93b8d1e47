/* Inside of the book: alert_book.c knows what is raised, alert_message.c what is to be told. */
#ifndef SL_OPS_ALERT_BOOK_OWN_H
#define SL_OPS_ALERT_BOOK_OWN_H

#include "ops/alert_book.h"

enum sl_alert_phase {
    CALM,    /* nothing is wrong; kept while something is to be told, or must not be yet */
    PENDING, /* bad, not for long enough */
    RAISED,
    FADING, /* raised, and good, not for long enough */
};

struct sl_alert {
    enum sl_alert_kind kind;
    char *subject, *title, *text;
    enum sl_alert_phase phase;
    uint64_t since_ms;     /* of PENDING and FADING */
    uint64_t told_ms;      /* when a message last told that it is raised … */
    bool ever_told;        /* … if one did */
    bool told;             /* one told of the present raising, or of the one that is over */
    unsigned untold;       /* texts of a notice that another took the place of, and nobody saw */
    uint64_t tell_ms;      /* tell that it is raised; UINT64_MAX: no */
    uint64_t tell_over_ms; /* tell that it is over; UINT64_MAX: no */
    int64_t raised_wall_ms, over_wall_ms;
    struct sl_alert *next; /* in the order of their first coming */
};

struct sl_alert_book {
    struct sl_alert_rules rules;
    struct sl_alert *first;
    unsigned held_back;
    uint64_t sent_ms[SL_ALERT_PER_HOUR_MAX]; /* the last messages, in a ring */
    uint64_t sent_count;
};

/* The alert of that kind and subject, a notice of that title, too (NULL: the first of any); find
 * gives NULL when there is none. */
struct sl_alert *sl_alert_find(const struct sl_alert_book *book, enum sl_alert_kind kind,
                               const char *subject, const char *title);
struct sl_alert *sl_alert_find_or_make(struct sl_alert_book *book, enum sl_alert_kind kind,
                                       const char *subject, const char *title);
void sl_alert_free(struct sl_alert *alert);

/* Copies title and text; true when they differ from those before. */
bool sl_alert_put_words(struct sl_alert *alert, const char *title, const char *text);

static inline bool sl_alert_is_up(const struct sl_alert *alert)
{
    return alert->phase == RAISED || alert->phase == FADING;
}

/* Of this kind nobody says that it is over. */
static inline bool sl_alert_never_ends(const struct sl_alert *alert)
{
    return alert->kind == SL_ALERT_NOTICE;
}

#endif
