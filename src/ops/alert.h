/* Alerts: an e-mail when a run fails, at most one an hour for each feed. */
#ifndef SL_OPS_ALERT_H
#define SL_OPS_ALERT_H

#include <stdint.h>

#include "base/setting.h"
#include "http/client.h"
#include "http/mail.h"

/* The section "mail" of the configuration. */
struct sl_alert_settings {
    struct sl_mail_settings mail;
    uint64_t min_interval_ms; /* between two mails about one feed */
};
extern const struct sl_setting sl_alert_table[];

/* From now on alerts are mailed. Borrows http and settings until sl_alert_stop. Without a host in
 * the settings, alerts go to the log alone. */
void sl_alert_start(struct sl_http *http, const struct sl_alert_settings *settings);

/* Lets mails that are under way end, at most until deadline_ms (loop clock), then breaks them off.
 * Suspends. */
void sl_alert_stop(uint64_t deadline_ms);

/* Logs the alert, and mails it in a fiber of its own unless a mail about this feed went out less
 * than min_interval_ms ago (the next mail says how many were held back). Never suspends, never
 * fails; a mail that cannot be sent is logged, and then does not count against the interval. */
void sl_alert(const char *feed, const char *subject, const char *text);

#endif
