/* The object of /status (ops/status.h) as tables for a person. */
#ifndef SL_CLI_STATUS_TEXT_H
#define SL_CLI_STATUS_TEXT_H

#include <stdio.h>

#include "format/json.h"

/* Prints what is there; members that are missing are left out. */
void sl_status_text(const struct sl_json *status, FILE *out);

#endif
