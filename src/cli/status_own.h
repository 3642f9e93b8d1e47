/* Inside of `sluice status`: reading its JSON for a terminal. */
#ifndef SL_CLI_STATUS_OWN_H
#define SL_CLI_STATUS_OWN_H

#include <stdio.h>

#include "format/json.h"

enum { SL_STATUS_TEXT_MAX = 400 };

/* A member as text without control characters; "-" when there is none. Returns out. */
static inline const char *sl_status_text_of(const struct sl_json *node, const char *key,
                                            char out[SL_STATUS_TEXT_MAX])
{
    const char *text = sl_json_text(sl_json_get(node, key));
    snprintf(out, SL_STATUS_TEXT_MAX, "%s", text && *text ? text : "-");
    sl_text_clean(out);
    return out;
}

/* A member as a whole number; 0 when there is none. */
static inline int64_t sl_status_number_of(const struct sl_json *node, const char *key)
{
    int64_t number = 0;
    sl_json_int(sl_json_get(node, key), &number);
    return number;
}

#endif
