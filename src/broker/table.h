/* Checks an encoded AMQP field table before it is decoded: librabbitmq descends as deep as the
 * bytes say. Private to broker/. */
#ifndef SL_BROKER_TABLE_H
#define SL_BROKER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SL_TABLE_DEPTH_MAX = 16, SL_TABLE_FIELDS_MAX = 1024 };

/* True when a well-formed table begins at bytes; *ret_size is its size with the length field. */
bool sl_table_check(const uint8_t *bytes, size_t size, size_t *ret_size);

#endif
