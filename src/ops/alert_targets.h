/* Where alerts go: e-mail and a webhook. */
#ifndef SL_OPS_ALERT_TARGETS_H
#define SL_OPS_ALERT_TARGETS_H

#include "base/setting.h"
#include "http/mail.h"
#include "ops/alert_text.h"

struct sl_alert_webhook {
    char *url;    /* secret: chat services put the key into its path; NULL: none */
    char *bearer; /* secret; NULL: none */
    int body;     /* enum sl_alert_body */
    uint64_t timeout_ms;
};
extern const struct sl_setting sl_alert_webhook_table[];
extern const struct sl_setting sl_alert_mail_table[]; /* of struct sl_mail_settings */

struct sl_alert_targets {
    const struct sl_mail_settings *mail;
    const struct sl_alert_webhook *webhook;
};

enum { SL_ALERT_TARGETS = 2 };

/* "mail", "webhook", by number. */
const char *sl_alert_target_name(unsigned target);
bool sl_alert_target_wanted(const struct sl_alert_targets *targets, unsigned target);

/* Sends the message to one target, once. Suspends, at most for the target's timeout. Borrows
 * everything. Fails with SL_CONFIG, SL_REJECTED, SL_NOTFOUND, SL_THROTTLED, SL_CLOSED, SL_TIMEOUT
 * or SL_CANCELED. */
int sl_alert_target_send(struct sl_http *http, const struct sl_alert_targets *targets,
                         unsigned target, const struct sl_alert_message *message,
                         const struct sl_alert_sender *sender, struct sl_err *err);

/* Whether the target is there, as far as that shows without sending anything: a mail server takes
 * the login, the webhook's machine answers. Suspends and fails likewise. */
int sl_alert_target_probe(struct sl_http *http, const struct sl_alert_targets *targets,
                          unsigned target, struct sl_err *err);

/* What is wrong with the settings, going on from the section's name ("mail.from is …"), and the
 * path of what it is about; false: nothing. */
bool sl_alert_targets_wrong(const struct sl_alert_targets *targets, const char **ret_path,
                            struct sl_err *err);

#endif
