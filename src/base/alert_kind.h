/* What operators are told of, in kinds (docs/ALERTS.md), and how those who notice it tell. Who is
 * told, how and when is the affair of ops/alert.h. */
#ifndef SL_BASE_ALERT_KIND_H
#define SL_BASE_ALERT_KIND_H

#include <stdbool.h>

enum sl_alert_kind {
    SL_ALERT_RUN_FAILED,    /* of a feed; over after a good run, when nothing is lost */
    SL_ALERT_SWEEP_REFUSED, /* of a feed; over after a sweep that was allowed */
    SL_ALERT_OPERATOR,      /* a feed cannot go on before somebody acts */
    SL_ALERT_NOTICE,        /* of a feed; rows may be missing: told, and never over by itself */
    SL_ALERT_DEAD_LETTERS,  /* of a feed or a queue; they grow */
    SL_ALERT_LAG,           /* of a feed; rows come later than promised */
    SL_ALERT_PEER_DOWN,     /* of MongoDB, RabbitMQ or a source */
    SL_ALERT_BUDGET,        /* of a source; its budget of requests is used up */
    SL_ALERT_KINDS
};

/* "run_failed", for metrics, messages and /status. */
const char *sl_alert_kind_name(enum sl_alert_kind kind);

/* How sources tell. subject is the name of the feed, title a few words ("run failed"), text what
 * happened and what to do; all are copied. A later text takes the place of one that is not told
 * yet: of notices, that of the same title, so it should say all there is. No call suspends or
 * fails. */
struct sl_alerter {
    void (*raise)(enum sl_alert_kind kind, const char *subject, const char *title,
                  const char *text);
    /* It is over; nothing happens when it was not raised. */
    void (*clear)(enum sl_alert_kind kind, const char *subject);
    /* As raise, of what lasts and a process before this one may have told: nothing happens when it
     * is raised. */
    void (*remind)(enum sl_alert_kind kind, const char *subject, const char *title,
                   const char *text);
};

#endif
