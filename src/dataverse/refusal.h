/* What an answer of Dataverse other than 200 means for the caller. Pure.
 *
 * Facts: "Compose HTTP requests and handle errors" and "Service protection API limits" of
 * Microsoft's Dataverse documentation. */
#ifndef SL_DATAVERSE_REFUSAL_H
#define SL_DATAVERSE_REFUSAL_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "http/client.h"

struct sl_dataverse_refusal {
    const char *asked; /* "accounts", for the message */
    bool link;         /* a link was followed: its end is not the table's end */
    bool row;          /* one row was asked for */
    const struct sl_http_response *head;
    struct sl_str body; /* as much of it as was read */
};

/* Fills err and returns its code, as sl_dataverse_open tells. *ret_throttle becomes the code to
 * tell sl_budget_throttled, or NULL. err must be given. */
int sl_dataverse_refuse(const struct sl_dataverse_refusal *refusal, const char **ret_throttle,
                        struct sl_err *err);

#endif
