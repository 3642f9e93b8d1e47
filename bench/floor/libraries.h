/* libcurl on libuv, for the front by libraries. */
#ifndef BENCH_FLOOR_LIBRARIES_H
#define BENCH_FLOOR_LIBRARIES_H

#include "floor.h"

void floor_curl_start(const struct floor_options *options);
void floor_curl_ask(void);

#endif
