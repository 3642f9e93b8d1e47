/* Reads the headers of an answer, line by line, into struct sl_http_response. Private to http/. */
#ifndef SL_HTTP_HEAD_H
#define SL_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "http/client.h"

enum { SL_HEAD_BYTES_MAX = 64 * 1024, SL_HEAD_LINES_MAX = 200 };

struct sl_head {
    struct sl_http_response response; /* body stays NULL */
    int64_t retry_at_ms;              /* Retry-After as a date: wall milliseconds; 0: none */
    bool complete;                    /* the empty line of a final (not 1xx) answer was seen */
    size_t bytes;                     /* of all lines so far, interim answers included */
    unsigned lines;
};

void sl_head_init(struct sl_head *head);

/* Takes one line with its line end. False when there are too many, or too long ones. */
bool sl_head_line(struct sl_head *head, const char *line, size_t length);

#endif
