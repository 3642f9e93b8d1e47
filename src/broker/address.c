/* amqp://user:password@host:port/vhost (RabbitMQ's URI specification). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/amqp.h"

enum { PORT_PLAIN = 5672, PORT_TLS = 5671 };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded copy, or NULL when an escape is malformed or stands for NUL. */
static char *decode(const char *at, size_t length)
{
    char *text = sl_strndup(at, length);
    size_t out = 0;
    for (size_t i = 0; i < length; i++) {
        char c = at[i];
        if (c == '%') {
            int high = length - i > 2 ? hex_value(at[i + 1]) : -1;
            int low = length - i > 2 ? hex_value(at[i + 2]) : -1;
            if (high < 0 || low < 0 || !(high | low)) {
                sl_wipe(text, length);
                free(text);
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        text[out++] = c;
    }
    text[out] = 0;
    return text;
}

/* "host", "host:port", "[::1]:port" → host and port; false when malformed. */
static bool parse_host(const char *at, size_t length, struct sl_amqp_address *ret)
{
    const char *end = at + length;
    const char *host = at;
    const char *host_end;
    if (length && *at == '[') {
        host++;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return false;
        at = host_end + 1;
    } else {
        host_end = memchr(at, ':', length);
        host_end = host_end ? host_end : end;
        at = host_end;
    }
    if (host_end == host)
        return false;
    ret->host = decode(host, (size_t)(host_end - host));
    ret->port = ret->tls ? PORT_TLS : PORT_PLAIN;
    if (at == end)
        return ret->host != NULL;
    if (*at != ':' || end - at < 2 || end - at > 6)
        return false;
    unsigned port = 0;
    for (at++; at < end; at++) {
        if (!isdigit((unsigned char)*at))
            return false;
        port = port * 10 + (unsigned)(*at - '0');
    }
    ret->port = (uint16_t)port;
    return ret->host && port && port <= UINT16_MAX;
}

static bool parse_user(const char *at, size_t length, struct sl_amqp_address *ret)
{
    const char *colon = memchr(at, ':', length);
    size_t user = colon ? (size_t)(colon - at) : length;
    ret->user = decode(at, user);
    ret->password = colon ? decode(colon + 1, length - user - 1) : sl_strdup("");
    return ret->user && ret->password;
}

/* The part behind the scheme. */
static bool parse_rest(const char *at, struct sl_amqp_address *ret)
{
    size_t authority = strcspn(at, "/?#");
    const char *path = at + authority;
    const char *sign = memrchr(at, '@', authority);
    ret->anonymous = !sign;
    if (sign ? !parse_user(at, (size_t)(sign - at), ret) : !parse_user("guest:guest", 11, ret))
        return false;
    const char *host = sign ? sign + 1 : at;
    if (!parse_host(host, (size_t)(path - host), ret))
        return false;

    if (*path == '/')
        path++;
    size_t length = strcspn(path, "?#");
    if (path[length] || memchr(path, '/', length))
        return false; /* query parameters have no meaning here */
    ret->vhost = length ? decode(path, length) : sl_strdup("/");
    return ret->vhost && strlen(ret->vhost) <= 255;
}

int sl_amqp_address_parse(const char *url, struct sl_amqp_address *ret, struct sl_err *err)
{
    struct sl_amqp_address address = {0};
    const char *rest = NULL;
    if (url && !strncasecmp(url, "amqp://", 7))
        rest = url + 7;
    else if (url && !strncasecmp(url, "amqps://", 8))
        rest = url + 8;
    if (!rest)
        return sl_err_set(err, SL_CONFIG,
                          "broker.url must begin with amqp:// or amqps://, as in "
                          "amqp://user:password@host:5672/vhost");
    address.tls = rest == url + 8;
    if (!parse_rest(rest, &address)) {
        sl_amqp_address_done(&address);
        return sl_err_set(err, SL_CONFIG,
                          "broker.url is malformed: write amqp%s://user:password@host:port/vhost, "
                          "special characters as %%XX (a / in the vhost as %%2F)",
                          address.tls ? "s" : "");
    }
    *ret = address;
    return SL_OK;
}

void sl_amqp_address_done(struct sl_amqp_address *address)
{
    if (address->password)
        sl_wipe(address->password, strlen(address->password));
    free(address->host);
    free(address->user);
    free(address->password);
    free(address->vhost);
    *address = (struct sl_amqp_address){.tls = address->tls};
}
