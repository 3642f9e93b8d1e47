/* URLs by libcurl's own parser, so that sluice and the transfer never disagree about the host. */
#include "http/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

static bool get_part(CURLU *url, CURLUPart part, char *out, size_t size)
{
    char *text = NULL;
    if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return false;
    bool fits = strlen(text) < size;
    if (fits)
        snprintf(out, size, "%s", text);
    curl_free(text);
    return fits;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (!strcmp(host, "localhost"))
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Lower case, no brackets; false when it is empty or not plain ASCII. */
static bool normalize_host(char *host)
{
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        memmove(host, host + 1, length - 2);
        host[length - 2] = 0;
    }
    for (char *at = host; *at; at++) {
        if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f)
            return false;
        *at = (char)tolower((unsigned char)*at);
    }
    return *host;
}

static bool is_known_scheme(const char *scheme)
{
    static const char *const known[] = {"http", "https", "smtp", "smtps"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(scheme, known[i]))
            return true;
    return false;
}

/* --- where nearly all lead: to the same host as the one before --- */

/* "https://org.crm4.dynamics.com" as it stood in a URL, and what it means. Nothing in it could be
 * read otherwise: there is no user, no escape, no capital. */
static struct {
    char text[sizeof(struct sl_url)];
    size_t length; /* 0: none */
    struct sl_url url;
} last;

static void remember(const char *text, const struct sl_url *url)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789.-:";
    size_t scheme = strlen(url->scheme);
    last.length = 0;
    if (strncmp(text, url->scheme, scheme) != 0 || strncmp(text + scheme, "://", 3) != 0)
        return;
    size_t length = scheme + 3 + strspn(text + scheme + 3, plain);
    if (text[length] != '/' || length >= sizeof last.text)
        return;
    memcpy(last.text, text, length);
    last.length = length;
    last.url = *url;
}

/* Whether it leads there, and holds nothing that a parser would have to say something about. */
static bool is_like_last(const char *text)
{
    if (!last.length || strncmp(text, last.text, last.length) != 0 || text[last.length] != '/')
        return false;
    for (const char *at = text + last.length; *at; at++)
        if (*at <= ' ' || *at >= 0x7f)
            return false;
    return true;
}

int sl_url_parse(const char *text, struct sl_url *ret, struct sl_err *err)
{
    if (text && is_like_last(text)) {
        *ret = last.url;
        return SL_OK;
    }
    char safe[SL_URL_SAFE_BYTES], port[16];
    struct sl_url parsed = {0};
    CURLU *url = curl_url();
    int rc = SL_OK;

    if (!url || curl_url_set(url, CURLUPART_URL, text ? text : "", 0) != CURLUE_OK ||
        !get_part(url, CURLUPART_SCHEME, parsed.scheme, sizeof parsed.scheme) ||
        !get_part(url, CURLUPART_HOST, parsed.host, sizeof parsed.host))
        rc = sl_err_set(err, SL_CONFIG,
                        "'%s': a URL has a scheme and a host, like https://host/path",
                        sl_url_safe(text, safe));
    else if (!is_known_scheme(parsed.scheme))
        rc = sl_err_set(err, SL_CONFIG, "'%s': scheme '%s' is not supported here",
                        sl_url_safe(text, safe), parsed.scheme);
    else if (!normalize_host(parsed.host))
        rc = sl_err_set(err, SL_CONFIG, "'%s': the host must be ASCII (write xn-- names so)",
                        sl_url_safe(text, safe));
    else if (!get_part(url, CURLUPART_PORT, port, sizeof port))
        rc = sl_err_set(err, SL_CONFIG, "'%s': no usable port", sl_url_safe(text, safe));
    else
        parsed.port = (uint16_t)strtoul(port, NULL, 10);
    curl_url_cleanup(url);
    if (rc != SL_OK)
        return rc;

    parsed.loopback = is_loopback(parsed.host);
    if (text)
        remember(text, &parsed);
    *ret = parsed;
    return SL_OK;
}

int sl_url_require_secure(const char *text, const char *what, struct sl_url *ret,
                          struct sl_err *err)
{
    struct sl_url parsed;
    char safe[SL_URL_SAFE_BYTES];
    if (sl_url_parse(text, &parsed, err) != SL_OK)
        return sl_err_wrap(err, "%s", what);
    if (strcmp(parsed.scheme, "https") && !(parsed.loopback && !strcmp(parsed.scheme, "http")))
        return sl_err_set(err, SL_CONFIG, "%s '%s' must begin with https://", what,
                          sl_url_safe(text, safe));
    *ret = parsed;
    return SL_OK;
}

const char *sl_url_safe(const char *text, char out[SL_URL_SAFE_BYTES])
{
    size_t length = text && is_like_last(text) ? strcspn(text, "?#") : SL_URL_SAFE_BYTES;
    if (length < SL_URL_SAFE_BYTES) {
        snprintf(out, SL_URL_SAFE_BYTES, "%.*s", (int)length, text);
        return out;
    }
    char scheme[32] = "", host[300] = "", port[16] = "", path[SL_URL_SAFE_BYTES * 4] = "";
    char *own_port = NULL;
    CURLU *url = curl_url();

    if (url &&
        curl_url_set(url, CURLUPART_URL, text ? text : "", CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        get_part(url, CURLUPART_SCHEME, scheme, sizeof scheme) &&
        get_part(url, CURLUPART_HOST, host, sizeof host)) {
        if (curl_url_get(url, CURLUPART_PORT, &own_port, 0) == CURLUE_OK)
            snprintf(port, sizeof port, ":%s", own_port);
        if (!get_part(url, CURLUPART_PATH, path, sizeof path))
            snprintf(path, sizeof path, "/...");
        snprintf(out, SL_URL_SAFE_BYTES, "%s://%s%s%s", scheme, host, port, path);
    } else {
        snprintf(out, SL_URL_SAFE_BYTES, "(not a URL)");
    }
    curl_free(own_port);
    curl_url_cleanup(url);
    return out;
}

void sl_url_escape(struct sl_buf *url, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            sl_buf_add_char(url, (char)c);
        else
            sl_buf_printf(url, "%%%02X", c);
    }
}
