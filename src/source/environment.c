#include "source/environment.h"

#include <stdio.h>
#include <string.h>

#include "http/url.h"

char *sl_environment_name(const char *url, char *out, size_t size)
{
    struct sl_url parsed;
    if (!url || sl_url_parse(url, &parsed, NULL) != SL_OK) {
        snprintf(out, size, "an environment without a URL");
        return out;
    }
    bool v6 = strchr(parsed.host, ':');
    int used = snprintf(out, size, "%s://%s%s%s", parsed.scheme, v6 ? "[" : "", parsed.host,
                        v6 ? "]" : "");
    bool usual = parsed.port == (strcmp(parsed.scheme, "https") ? 80 : 443);
    if (!usual && (size_t)used < size)
        snprintf(out + used, size - (size_t)used, ":%u", parsed.port);
    return out;
}

bool sl_environment_is_same(const char *one, const char *other)
{
    char here[300], there[300];
    return one && other &&
           !strcmp(sl_environment_name(one, here, sizeof here),
                   sl_environment_name(other, there, sizeof there));
}
