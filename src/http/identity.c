#include "http/identity.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include <curl/curl.h>

#include "http/oauth_settings.h"
#include "http/url.h"

/* 169.254.0.0/16, which no router passes on: the metadata service, and the endpoints of some apps.
 */
static bool is_link_local(const char *host)
{
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 16 == 0xa9fe;
}

int sl_identity_check(const char *endpoint, struct sl_err *err)
{
    char safe[SL_URL_SAFE_BYTES];
    struct sl_url url;
    if (sl_url_parse(endpoint, &url, err) != SL_OK)
        return sl_err_wrap(err, "auth.endpoint");
    if (!strcmp(url.scheme, "https") ||
        (!strcmp(url.scheme, "http") && (url.loopback || is_link_local(url.host))))
        return SL_OK;
    return sl_err_set(err, SL_CONFIG,
                      "auth.endpoint '%s' must begin with https:// (plain http is for this machine "
                      "and 169.254.0.0/16 alone)",
                      sl_url_safe(endpoint, safe));
}

static void add_escaped(struct sl_buf *url, const char *name, const char *value, size_t length)
{
    char *escaped = length ? curl_easy_escape(NULL, value, (int)length) : NULL;
    sl_buf_printf(url, "&%s=%s", name, escaped ? escaped : "");
    curl_free(escaped);
}

/* The resource is the root of the scope, which ends in "/.default". */
static size_t resource_length(const char *scope)
{
    static const char suffix[] = "/.default";
    size_t length = strlen(scope), suffix_length = sizeof suffix - 1;
    bool has = length > suffix_length && !strcmp(scope + length - suffix_length, suffix);
    return has ? length - suffix_length : length;
}

void sl_identity_write(const struct sl_oauth_settings *settings, struct sl_buf *url,
                       struct sl_buf *header)
{
    const char *endpoint = settings->endpoint ? settings->endpoint : SL_IDENTITY_ENDPOINT;
    const char *secret = settings->identity_header;
    sl_buf_printf(url, "%s%capi-version=%s", endpoint, strchr(endpoint, '?') ? '&' : '?',
                  secret ? "2019-08-01" : "2018-02-01");
    add_escaped(url, "resource", settings->scope, resource_length(settings->scope));
    if (settings->client_id && *settings->client_id)
        add_escaped(url, "client_id", settings->client_id, strlen(settings->client_id));
    if (secret) {
        sl_buf_add_text(header, "X-IDENTITY-HEADER: ");
        sl_buf_add_text(header, secret);
    } else {
        sl_buf_add_text(header, "Metadata: true");
    }
}

uint64_t sl_identity_pause_ms(unsigned failures)
{
    static const uint16_t SECONDS[] = {1, 2, 6, 14, 30};
    const unsigned last = sizeof SECONDS / sizeof SECONDS[0] - 1;
    unsigned at = failures ? failures - 1 : 0;
    return SECONDS[at < last ? at : last] * UINT64_C(1000);
}
