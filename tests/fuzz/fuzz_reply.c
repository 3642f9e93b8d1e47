/* What a token endpoint says, headers and body: a token with a sane life, or a reason. */
#include "base/mem.h"
#include "http/head.h"
#include "http/oauth_reply.h"

#include "fuzz.h"

/* The headers, line by line as libcurl hands them over; the rest is the body. */
static bool read_head(struct sl_head *head, const char **at, const char *end)
{
    while (*at < end) {
        const char *line = *at, *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline)
            return false;
        *at = newline + 1;
        char *exact = sl_alloc((size_t)(*at - line));
        memcpy(exact, line, (size_t)(*at - line));
        bool fine = sl_head_line(head, exact, (size_t)(*at - line));
        free(exact);
        if (!fine || head->complete)
            return fine;
    }
    return true;
}

static void read_reply(const struct sl_http_response *response, enum sl_oauth_type type)
{
    struct sl_err err = {0};
    char *token = NULL;
    int64_t life_s = 0;
    int rc = sl_oauth_reply_read(response, type, &token, &life_s, &err);
    if (rc == SL_OK)
        FUZZ_REQUIRE(*token && life_s > 0);
    else
        FUZZ_REQUIRE(*err.message && !token);
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    const char *at = (const char *)input.at, *end = at + input.left;
    struct sl_head head;
    sl_head_init(&head);
    bool fine = read_head(&head, &at, end);
    FUZZ_REQUIRE(head.bytes <= SL_HEAD_BYTES_MAX + input.left &&
                 head.lines <= SL_HEAD_LINES_MAX + 1);
    if (fine) {
        struct sl_http_response *response = &head.response;
        response->length = (size_t)(end - at);
        response->body = sl_alloc(response->length + 1);
        memcpy(response->body, at, response->length);
        response->body[response->length] = '\0';
        read_reply(response, SL_OAUTH_SECRET);
        read_reply(response, SL_OAUTH_IDENTITY);
    }
    sl_http_response_done(&head.response);
    return 0;
}
