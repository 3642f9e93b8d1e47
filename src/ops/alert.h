/* Alerts: what is raised is kept in a book (ops/alert_book.h), and a fiber tells it by e-mail and
 * webhook. Nothing here ever holds up data: all but the end is done in that fiber. */
#ifndef SL_OPS_ALERT_H
#define SL_OPS_ALERT_H

#include <stdint.h>

#include "base/setting.h"
#include "http/client.h"
#include "ops/alert_book.h"
#include "ops/alert_targets.h"

/* The section "alerts" of the configuration. */
struct sl_alert_settings {
    struct sl_alert_rules rules;
    uint64_t lag_ms;             /* a live row applied later than this is late … */
    uint64_t lag_for_ms;         /* … and late rows for so long are an alert */
    uint64_t peer_down_ms;       /* away for so long */
    uint64_t budget_for_ms;      /* used up for so long */
    int64_t dead_letters;        /* so many new ones … */
    uint64_t dead_quiet_ms;      /* … with no such pause between them, after which it is over */
    uint64_t recovered_after_ms; /* the other conditions: good for so long */
    struct sl_mail_settings mail;
    struct sl_alert_webhook webhook;
};
extern const struct sl_setting sl_alert_table[];

struct sl_alert_targets sl_alert_targets_of(const struct sl_alert_settings *settings);

/* From now on alerts are told, those of before a reload included. Borrows http and settings until
 * sl_alert_stop; copies version and role. Without targets they are logged, counted and shown. */
void sl_alert_start(struct sl_http *http, const struct sl_alert_settings *settings,
                    const char *version, const char *role);

/* Lets a message that is under way end, at most until deadline_ms (loop clock), then breaks it off.
 * What is raised stays known for the next start. Suspends. */
void sl_alert_stop(uint64_t deadline_ms);

/* The process ends: sl_alert_stop sends what waits for its group, instead of keeping it. */
void sl_alert_hurry(void);

/* Forgets all: after the last stop. */
void sl_alert_end(void);

/* An event, and its end. Logged and counted. Neither suspends; both may be called at any time. */
void sl_alert_raise(enum sl_alert_kind kind, const char *subject, const char *title,
                    const char *text);
void sl_alert_clear(enum sl_alert_kind kind, const char *subject);

/* These, for those who must not know ops/. */
extern const struct sl_alerter sl_alerter;

/* A look at a condition (ops/alert_book.h). Does not suspend. */
void sl_alert_observe(const struct sl_alert_condition *condition);

/* Forgets those for which keep says no. Does not suspend. */
void sl_alert_keep_only(sl_alert_keep *keep, void *ctx);

bool sl_alert_is_raised(enum sl_alert_kind kind, const char *subject);

/* The member "alerts" of /status; ctx is not used. */
void sl_alert_status(void *ctx, struct sl_buf *buf);

#endif
