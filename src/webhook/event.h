/* What Dataverse posts to a webhook: a RemoteExecutionContext as .NET's DataContract serializer
 * writes it. Pure; tells which rows it is about. What has changed in them is not read: payloads
 * carry changed columns only and no version, so the rows themselves are asked for.
 *
 * Source: "Use webhooks to create external handlers for server events" of Microsoft's Dataverse
 * documentation; data events of Finance & Operations come in the same shape. */
#ifndef SL_WEBHOOK_EVENT_H
#define SL_WEBHOOK_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { SL_GUID_BYTES = 37, SL_TABLE_NAME_BYTES = 128 }; /* with the NUL */

/* A row. */
struct sl_webhook_row {
    char table[SL_TABLE_NAME_BYTES]; /* logical name; "": not said */
    char id[SL_GUID_BYTES];          /* lower case, without braces */
};

struct sl_webhook_event {
    char message[SL_TABLE_NAME_BYTES]; /* "Update", "OnExternalCreated", … */
    char table[SL_TABLE_NAME_BYTES];   /* the primary one; "": the message has none */
    /* Schema name of the relationship, of an association or its end; "": it is none. rows are then
     * its target, and those that were related to it. */
    char relationship[SL_TABLE_NAME_BYTES];
    bool target_referenced; /* in a relationship of a table with itself: which end the target is */
    bool oversize;          /* the service has taken out what was too large: rows may lack */
    bool asynchronous; /* of a step that runs after its transaction has ended; false: not said */
    int64_t at_ms;     /* wall clock of the service; 0: not said */
    struct sl_webhook_row *rows; /* heap */
    uint32_t row_count;
};

/* What the headers x-ms-dynamics-… of the request say; each may be NULL. */
struct sl_webhook_hints {
    const char *table, *message;
    const char *size_exceeded;
};

/* Reads a body. Unknown members, and newer shapes of known ones, are passed over. Fails with
 * SL_REJECTED when it is no such object, or an id no GUID; the message shows nothing of the body
 * but where that is. On SL_OK the caller owes sl_webhook_event_done. err may be NULL. */
int sl_webhook_event_read(struct sl_str body, const struct sl_webhook_hints *hints,
                          struct sl_webhook_event *ret, struct sl_err *err);
void sl_webhook_event_done(struct sl_webhook_event *event);

/* Whether it ends or makes an association. */
bool sl_webhook_event_associates(const struct sl_webhook_event *event);

/* Reads a GUID, with or without braces, in any case. False when it is none. */
bool sl_guid_read(struct sl_str text, char ret[SL_GUID_BYTES]);

#endif
