/* Errors: the code says what the caller should do, the message says what happened. */
#ifndef SL_BASE_ERR_H
#define SL_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum sl_code {
    SL_OK = 0,
    SL_END,       /* the stream ended in order */
    SL_TIMEOUT,   /* transient: try again */
    SL_THROTTLED, /* transient: try again after retry_after_ms */
    SL_CLOSED,    /* transient: the peer went away, refused or broke off */
    SL_REJECTED,  /* permanent for this input: dead letter, or fail the run */
    SL_NOTFOUND,  /* the thing asked for does not exist (any more) */
    SL_CONFIG,    /* fatal: an operator must act */
    SL_CANCELED,  /* shutting down */
};

enum { SL_ERR_TEXT_BYTES = 480 }; /* of a message, its NUL included */

struct sl_err {
    enum sl_code code;
    int cause;                       /* uv, errno or HTTP status beneath; 0 for none */
    uint32_t retry_after_ms;         /* 0 when the peer named no delay */
    char message[SL_ERR_TEXT_BYTES]; /* outermost context first */
};

/* Fills err (may be NULL) and returns code, so that a failure is one statement. Control characters
 * in the message become spaces; one that is too long is cut behind a whole character. cause and
 * retry_after_ms are reset. */
int sl_err_set(struct sl_err *err, enum sl_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts context in front of the message ("context: message") and returns the unchanged code; without
 * err, which alone knows it, SL_CLOSED. */
int sl_err_wrap(struct sl_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* True for the codes after which the same call may succeed later. */
bool sl_code_transient(int code);

/* The code as a short lower-case word, for logs and metrics: "timeout", "rejected". */
const char *sl_code_name(int code);

#endif
