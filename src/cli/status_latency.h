/* The latencies of /status (ops/status.h) as tables for a person. */
#ifndef SL_CLI_STATUS_LATENCY_H
#define SL_CLI_STATUS_LATENCY_H

#include <stdbool.h>
#include <stdio.h>

#include "format/json.h"

/* Prints the member "latency". closely: the 99.9th percentile, too, and each line once more for the
 * last minute. Whatever is missing is left out. */
void sl_status_latency(const struct sl_json *list, bool closely, FILE *out);

#endif
