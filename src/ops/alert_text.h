/* A message about alerts, for people and for programs. */
#ifndef SL_OPS_ALERT_TEXT_H
#define SL_OPS_ALERT_TEXT_H

#include "base/str.h"
#include "ops/alert_book.h"

/* Who speaks. */
struct sl_alert_sender {
    const char *version; /* "0.1.0" */
    const char *role;    /* "all", "ingest", "apply" */
    const char *host;    /* of this machine */
    int pid;
};

/* Adds one line: "sluice: run failed (vendors)", "sluice: 2 raised, 1 over". */
void sl_alert_subject(struct sl_buf *buf, const struct sl_alert_message *message);

/* Adds the whole text, lines ended by \n. */
void sl_alert_text(struct sl_buf *buf, const struct sl_alert_message *message,
                   const struct sl_alert_sender *sender);

enum sl_alert_body {
    SL_ALERT_BODY_FULL,  /* all members of docs/ALERTS.md; "text" is subject and text together */
    SL_ALERT_BODY_TEXT,  /* "text" alone: Slack and others refuse what they do not know */
    SL_ALERT_BODY_TEAMS, /* an Adaptive Card: workflows of Teams take nothing else */
};

/* Adds a JSON object. */
void sl_alert_json(struct sl_buf *buf, const struct sl_alert_message *message,
                   const struct sl_alert_sender *sender, enum sl_alert_body body);

#endif
