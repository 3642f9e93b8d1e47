/* JSON that lies whole in memory, token by token, several times as fast as a stream of it.
 *
 * It is strict (RFC 8259, valid UTF-8, 64 levels) and says nothing about what is wrong but that
 * something is: whoever must tell reads again with sl_json_parse or a stream. Those accept a little
 * more: a form feed for a blank, a byte order mark; a stream also texts that are not UTF-8. */
#ifndef SL_FORMAT_JSON_SCAN_H
#define SL_FORMAT_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "format/json_stream.h"

struct sl_json_scan {
    /* The token, after SL_OK: text as sl_json_event_fn has it, and valid UTF-8; a view until the
     * next call. at: the byte behind it. */
    enum sl_json_event event;
    struct sl_str text;
    const char *at;

    /* Private. */
    const char *end;
    int expects;
    unsigned depth;
    uint64_t lists;        /* bit d: the one at depth d + 1 is an array */
    bool mute;             /* texts are passed over, whatever characters they have */
    struct sl_buf decoded; /* a text that held a backslash */
};

/* One value is expected, with nothing but blanks around it. Borrows text until _done. */
void sl_json_scan_init(struct sl_json_scan *scan, struct sl_str text);
void sl_json_scan_done(struct sl_json_scan *scan);

/* The next token. SL_OK; SL_END behind the value; SL_REJECTED when something is wrong, after which
 * the scan is of no more use. Never suspends. */
int sl_json_scan_next(struct sl_json_scan *scan);

/* Behind a key: passes over its value, of which all is checked but whether texts are UTF-8. SL_OK
 * or SL_REJECTED. */
int sl_json_scan_skip(struct sl_json_scan *scan);

#endif
