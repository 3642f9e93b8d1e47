/* The key of a row: its key cells joined by '|', injectively: '\' stands before a '|' or '\' that
 * belongs to a cell. */
#ifndef SL_FORMAT_KEY_H
#define SL_FORMAT_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct sl_key_part {
    const char *column; /* for messages; must outlive the part */
    bool lower;         /* the company (dataAreaId): lower case, ASCII letters */
};

/* The part of that column; dataAreaId is known in any case. */
struct sl_key_part sl_key_part_of(const char *column);

/* Joins values[0..count) and gives the key in the arena (followed by NUL). Fails with SL_REJECTED:
 * *ret_code (may be NULL) becomes the dead letter's code, "empty_key" or "bad_utf8", and the
 * message names the column. */
int sl_key_join(struct sl_arena *arena, const struct sl_key_part *parts,
                const struct sl_str *values, uint32_t count, struct sl_str *ret_key,
                const char **ret_code, struct sl_err *err);

#endif
