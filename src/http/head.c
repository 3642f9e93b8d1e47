#include "http/head.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/mem.h"

/* Whoever waits does not look up meanwhile: not longer, whatever an answer says. */
enum { RETRY_AFTER_MAX_S = 15 * 60, NUMBER_DIGITS_MAX = 18 };
static const int64_t SECONDS_MAX = 253402300799; /* of the year 9999 */

static void restart(struct sl_head *head)
{
    sl_http_response_done(&head->response);
    head->retry_at_ms = 0;
    head->response.content_length = -1;
    head->response.range_first = -1;
    head->response.range_total = -1;
}

void sl_head_init(struct sl_head *head)
{
    memset(head, 0, sizeof *head);
    restart(head);
}

/* The whole of text as a number without sign, or -1. */
static int64_t number_of(struct sl_str text)
{
    int64_t number = 0;
    if (!text.length || text.length > NUMBER_DIGITS_MAX)
        return -1;
    for (size_t i = 0; i < text.length; i++) {
        if (!isdigit((unsigned char)text.at[i]))
            return -1;
        number = number * 10 + (text.at[i] - '0');
    }
    return number;
}

/* An HTTP date as wall milliseconds, or 0, also after the year 9999. Answers of one second have the
 * same, and libcurl takes long over it. */
static int64_t date_of(struct sl_str text)
{
    static char last[64];
    static int64_t last_ms;
    if (text.length >= sizeof last)
        return 0;
    if (sl_str_is(text, last))
        return last_ms;
    memcpy(last, text.at, text.length);
    last[text.length] = 0;
    time_t seconds = curl_getdate(last, NULL);
    last_ms = seconds < 0 || seconds > SECONDS_MAX ? 0 : (int64_t)seconds * 1000;
    return last_ms;
}

/* What is too long is left out: half an ETag would be a wrong one. */
static void copy_value(char *out, size_t size, struct sl_str value)
{
    out[0] = 0;
    if (value.length < size) {
        memcpy(out, value.at, value.length);
        out[value.length] = 0;
    }
}

static void take_content_length(struct sl_head *head, struct sl_str value)
{
    head->response.content_length = number_of(value);
}

static void take_content_type(struct sl_head *head, struct sl_str value)
{
    struct sl_http_response *response = &head->response;
    size_t length = 0;
    while (length < value.length && value.at[length] != ';' && value.at[length] != ' ')
        length++;
    copy_value(response->content_type, sizeof response->content_type,
               (struct sl_str){value.at, length});
    for (char *at = response->content_type; *at; at++)
        *at = (char)tolower((unsigned char)*at);
}

/* "bytes 100-199/1000", or "bytes 100-199" followed by "/" and a star when the size is not known.
 */
static void take_content_range(struct sl_head *head, struct sl_str value)
{
    struct sl_http_response *response = &head->response;
    const char *dash, *slash;
    if (value.length < 6 || strncasecmp(value.at, "bytes ", 6))
        return;
    value = (struct sl_str){value.at + 6, value.length - 6};
    if ((dash = memchr(value.at, '-', value.length)))
        response->range_first = number_of((struct sl_str){value.at, (size_t)(dash - value.at)});
    if ((slash = memchr(value.at, '/', value.length))) {
        size_t before = (size_t)(slash - value.at) + 1;
        response->range_total = number_of((struct sl_str){slash + 1, value.length - before});
    }
}

static void wait_seconds(struct sl_http_response *response, int64_t seconds)
{
    if (seconds > RETRY_AFTER_MAX_S)
        seconds = RETRY_AFTER_MAX_S;
    response->retry_after_ms = seconds > 0 ? (uint32_t)(seconds * 1000) : 0;
}

/* Seconds, or the date until which to wait. */
static void take_retry_after(struct sl_head *head, struct sl_str value)
{
    int64_t seconds = number_of(value);
    head->retry_at_ms = seconds < 0 ? date_of(value) : 0;
    wait_seconds(&head->response, seconds);
}

/* By the clock of whoever said it, if it says what that is: before or behind. */
static void end_head(struct sl_head *head)
{
    const struct sl_http_response *response = &head->response;
    int64_t now_ms = response->date_ms ? response->date_ms : sl_wall_ms();
    head->complete = true;
    if (head->retry_at_ms)
        wait_seconds(&head->response, (head->retry_at_ms - now_ms + 999) / 1000);
}

static void take_date(struct sl_head *head, struct sl_str value)
{
    head->response.date_ms = date_of(value);
}

static void take_location(struct sl_head *head, struct sl_str value)
{
    free(head->response.location);
    head->response.location = sl_strndup(value.at, value.length);
}

static void take_etag(struct sl_head *head, struct sl_str value)
{
    copy_value(head->response.etag, sizeof head->response.etag, value);
}

static void take_error_code(struct sl_head *head, struct sl_str value)
{
    copy_value(head->response.error_code, sizeof head->response.error_code, value);
}

static const struct {
    const char *name;
    void (*take)(struct sl_head *head, struct sl_str value);
} fields[] = {
    {"content-length",  take_content_length},
    {"content-type",    take_content_type  },
    {"content-range",   take_content_range },
    {"retry-after",     take_retry_after   },
    {"date",            take_date          },
    {"location",        take_location      },
    {"etag",            take_etag          },
    {"x-ms-error-code", take_error_code    },
};

static struct sl_str trim(struct sl_str text)
{
    while (text.length && isspace((unsigned char)text.at[0])) {
        text.at++;
        text.length--;
    }
    while (text.length && isspace((unsigned char)text.at[text.length - 1]))
        text.length--;
    return text;
}

static void take_field(struct sl_head *head, struct sl_str line)
{
    const char *colon = memchr(line.at, ':', line.length);
    if (!colon)
        return;
    size_t name_length = (size_t)(colon - line.at);
    struct sl_str name = {line.at, name_length};
    struct sl_str value = trim((struct sl_str){colon + 1, line.length - name_length - 1});
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (sl_str_equal_nocase(name, sl_str_of(fields[i].name)))
            fields[i].take(head, value);
}

/* "HTTP/1.1 206 Partial Content": begins an answer, forgets an interim one. */
static void take_status_line(struct sl_head *head, struct sl_str line)
{
    const char *blank = memchr(line.at, ' ', line.length);
    restart(head);
    if (blank && line.at + line.length - blank >= 4)
        head->response.status = (int)number_of((struct sl_str){blank + 1, 3});
}

bool sl_head_line(struct sl_head *head, const char *line, size_t length)
{
    head->bytes += length;
    if (head->bytes > SL_HEAD_BYTES_MAX || ++head->lines > SL_HEAD_LINES_MAX)
        return false;
    if (head->complete) /* trailers after a chunked body */
        return true;

    struct sl_str text = trim((struct sl_str){line, length});
    if (text.length > 5 && !memcmp(text.at, "HTTP/", 5))
        take_status_line(head, text);
    else if (text.length)
        take_field(head, text);
    else if (head->response.status >= 200)
        end_head(head);
    return true;
}
