#include "config/value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: that is the order in which a value is written. */
static const struct unit DURATIONS[] = {
    {"d",  86400000},
    {"h",  3600000 },
    {"m",  60000   },
    {"s",  1000    },
    {"ms", 1       },
    {NULL, 0       },
};

static const struct unit SIZES[] = {
    {"TiB", UINT64_C(1) << 40      },
    {"GiB", UINT64_C(1) << 30      },
    {"MiB", UINT64_C(1) << 20      },
    {"KiB", UINT64_C(1) << 10      },
    {"TB",  UINT64_C(1000000000000)},
    {"GB",  1000000000             },
    {"MB",  1000000                },
    {"KB",  1000                   },
    {"B",   1                      },
    {NULL,  0                      },
};

static bool parse(const char *text, const struct unit *units, uint64_t no_unit, uint64_t *ret)
{
    uint64_t number = 0;
    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    uint64_t factor = *text ? 0 : no_unit;
    for (; *text && units->name && !factor; units++)
        if (!strcasecmp(text, units->name))
            factor = units->factor;
    /* what does not fit in int64_t is a typing error, and breaks comparisons */
    if (!factor || __builtin_mul_overflow(number, factor, &number) || number > INT64_MAX)
        return false;
    *ret = number;
    return true;
}

bool sl_duration_parse(const char *text, uint64_t *ret_ms)
{
    return parse(text, DURATIONS, 0, ret_ms);
}

bool sl_size_parse(const char *text, uint64_t *ret_bytes)
{
    return parse(text, SIZES, 1, ret_bytes);
}

static void format(uint64_t value, const struct unit *units, char *out)
{
    while (units[1].name && (value % units->factor || !value))
        units++;
    snprintf(out, SL_VALUE_BYTES, "%llu%s", (unsigned long long)(value / units->factor),
             units->name);
}

void sl_duration_format(uint64_t ms, char out[SL_VALUE_BYTES])
{
    format(ms, DURATIONS, out);
}

void sl_size_format(uint64_t bytes, char out[SL_VALUE_BYTES])
{
    format(bytes, SIZES, out);
}

/* The host of the part behind "://", without user, port and brackets. */
static void find_host(const char *authority, const char **ret, size_t *ret_length)
{
    size_t length = strcspn(authority, "/?#");
    for (size_t i = length; i > 0; i--) {
        if (authority[i - 1] != '@')
            continue;
        authority += i;
        length -= i;
        break;
    }
    if (length && *authority == '[') {
        const char *end = memchr(authority, ']', length);
        *ret = authority + 1;
        *ret_length = end ? (size_t)(end - authority - 1) : 0;
        return;
    }
    *ret = authority;
    *ret_length = strcspn(authority, ":/?#,");
}

const char *sl_url_password(const char *url)
{
    const char *authority = strstr(url, "://"), *host, *colon;
    size_t length;
    if (!authority)
        return NULL;
    authority += 3;
    find_host(authority, &host, &length);
    if (host > authority && host[-1] == '[')
        host--;
    if (host == authority) /* no "@" before it */
        return NULL;
    colon = memchr(authority, ':', (size_t)(host - authority));
    return colon && colon + 2 < host ? colon + 1 : NULL; /* between ":" and "@" */
}

static bool is_loopback(const char *host, size_t length)
{
    if (length > 4 && !strncmp(host, "127.", 4))
        return strspn(host, "0123456789.") >= length;
    return (length == 9 && !strncasecmp(host, "localhost", 9)) ||
           (length == 3 && !memcmp(host, "::1", 3));
}

static bool among(const char *const *schemes, const char *scheme)
{
    for (; *schemes; schemes++)
        if (!strcasecmp(*schemes, scheme))
            return true;
    return false;
}

static const char *list_schemes(const char *const *schemes, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "needs a URL that begins with");
    for (size_t i = 0; schemes[i] && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s \"%s://\"", i ? " or" : "", schemes[i]);
    return out;
}

const char *sl_url_check(const char *url, const char *const *schemes, char *out, size_t size)
{
    char scheme[24], secure[26];
    const char *authority = strstr(url, "://");
    if (authority && (size_t)(authority - url) >= sizeof scheme)
        authority = NULL;
    if (!authority || authority == url || !isalpha((unsigned char)*url)) {
        if (schemes)
            return list_schemes(schemes, out, size);
        snprintf(out, size, "needs a URL (scheme://host…)");
        return out;
    }
    snprintf(scheme, sizeof scheme, "%.*s", (int)(authority - url), url);
    for (const char *c = url; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            snprintf(out, size, "must not hold blanks or control characters");
            return out;
        }
    }
    const char *host;
    size_t host_length;
    find_host(authority + 3, &host, &host_length);
    if (!host_length) {
        snprintf(out, size, "names no host");
        return out;
    }
    if (!schemes || among(schemes, scheme))
        return NULL;
    snprintf(secure, sizeof secure, "%ss", scheme);
    if (!among(schemes, secure))
        return list_schemes(schemes, out, size);
    if (is_loopback(host, host_length))
        return NULL;
    snprintf(out, size, "must begin with \"%s://\" (plain %s is for this machine alone)", secure,
             scheme);
    return out;
}
