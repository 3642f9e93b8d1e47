/* A token endpoint that does as the test says, and an application of which it knows the secret. */
#ifndef SL_TEST_HTTP_TOKEN_ENDPOINT_H
#define SL_TEST_HTTP_TOKEN_ENDPOINT_H

#include "http/oauth.h"

#include <time.h>

#include "base/log.h"
#include "http/harness.h"
#include "http/peer.h"
#include "http/tokens.h"

static const char bad_secret[] =
    "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret "
    "provided. Trace ID: 11 Correlation ID: 22\",\"error_codes\":[7000215]}";

/* What the token endpoint does now. */
static struct {
    atomic_int status;
    atomic_int life_s;
    atomic_int delay_ms;
    _Atomic(const char *) body; /* NULL: a token, numbered */
    _Atomic(const char *) header;
} endpoint;

static char last_request[4096];

static inline void serve(struct peer_link *link)
{
    while (peer_read_request(link)) {
        char text[2048], body[1024];
        struct timespec delay = {0, atomic_load(&endpoint.delay_ms) * 1000000L};
        snprintf(last_request, sizeof last_request, "%s", link->request);
        snprintf(body, sizeof body,
                 "{\"token_type\":\"Bearer\",\"expires_in\":%d,\"ext_expires_in\":9999,"
                 "\"access_token\":\"token-%u\"}",
                 atomic_load(&endpoint.life_s), atomic_load(&link->peer->requests));
        if (atomic_load(&endpoint.body))
            snprintf(body, sizeof body, "%s", atomic_load(&endpoint.body));
        snprintf(text, sizeof text, "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n%s",
                 atomic_load(&endpoint.status),
                 atomic_load(&endpoint.header) ? atomic_load(&endpoint.header) : "", strlen(body),
                 body);
        nanosleep(&delay, NULL);
        if (!peer_say(link, text))
            return;
    }
}

static inline void answer_with(int status, const char *header, const char *body)
{
    atomic_store(&endpoint.status, status);
    atomic_store(&endpoint.header, header);
    atomic_store(&endpoint.body, body);
}

struct setup {
    struct peer peer;
    struct sl_http *http;
    struct sl_oauth *oauth;
};

static inline unsigned requests(struct setup *setup)
{
    return atomic_load(&setup->peer.requests);
}

static inline bool try_with_endpoint(void (*body)(void *), int life_s, int delay_ms)
{
    static struct setup setup;
    const struct sl_http_options options = {0};
    memset(&setup, 0, sizeof setup);
    sl_log_setup(SL_ERROR, SL_LOG_TEXT);
    answer_with(200, NULL, NULL);
    atomic_store(&endpoint.life_s, life_s);
    atomic_store(&endpoint.delay_ms, delay_ms);
    peer_start(&setup.peer, serve, NULL);
    char authority[100];
    snprintf(authority, sizeof authority, "%s/", setup.peer.origin);
    const struct sl_oauth_settings settings = {
        .authority = authority,
        .tenant = "contoso.com",
        .client_id = "11-22",
        .client_secret = "s&cr=t +~",
        .scope = "https://contoso.operations.dynamics.com/.default",
    };
    setup.http = sl_http_new(&options, NULL);
    setup.oauth = sl_oauth_new(setup.http, &settings, NULL);
    assert_non_null(setup.oauth);
    bool counts = run_undisturbed(body, &setup);
    peer_stop(&setup.peer);
    return counts;
}

static inline void with_endpoint(void (*body)(void *), int life_s, int delay_ms)
{
    for (int tries = 1; !try_with_endpoint(body, life_s, delay_ms); tries++)
        assert_in_range(tries, 1, 5);
}

static inline void done(struct setup *setup)
{
    sl_oauth_free(setup->oauth);
    sl_http_free(setup->http);
}

#endif
