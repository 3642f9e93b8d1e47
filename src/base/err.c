#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { ROOM_BYTES = SL_ERR_TEXT_BYTES + 1 }; /* of one byte too many: it tells how to cut */

/* A message ends with a whole character: it goes to MongoDB, whose clients refuse other text. */
static void keep(struct sl_err *err, char message[ROOM_BYTES])
{
    message[sl_utf8_cut(message, strlen(message), SL_ERR_TEXT_BYTES - 1)] = 0;
    memcpy(err->message, message, sizeof err->message);
}

int sl_err_set(struct sl_err *err, enum sl_code code, const char *format, ...)
{
    if (!err)
        return code;

    char message[ROOM_BYTES]; /* the arguments may point into err */
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    sl_text_clean(message);

    err->code = code;
    err->cause = 0;
    err->retry_after_ms = 0;
    keep(err, message);
    return code;
}

int sl_err_wrap(struct sl_err *err, const char *format, ...)
{
    if (!err)
        return SL_CLOSED;

    char message[ROOM_BYTES];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    sl_text_clean(message);

    if (used >= 0 && (size_t)used + 2 < sizeof message)
        snprintf(message + used, sizeof message - (size_t)used, ": %s", err->message);
    keep(err, message);
    return err->code;
}

bool sl_code_transient(int code)
{
    return code == SL_TIMEOUT || code == SL_THROTTLED || code == SL_CLOSED;
}

const char *sl_code_name(int code)
{
    static const char *const names[] = {
        [SL_OK] = "ok",
        [SL_END] = "end",
        [SL_TIMEOUT] = "timeout",
        [SL_THROTTLED] = "throttled",
        [SL_CLOSED] = "closed",
        [SL_REJECTED] = "rejected",
        [SL_NOTFOUND] = "not_found",
        [SL_CONFIG] = "config",
        [SL_CANCELED] = "canceled",
    };
    if (code < 0 || (size_t)code >= sizeof names / sizeof *names)
        return "unknown";
    return names[code];
}
