#include "http/oauth_settings.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "http/identity.h"
#include "http/url.h"

#define FIELD(name) offsetof(struct sl_oauth_settings, name)

static const size_t TEXTS[] = {
    FIELD(source),        FIELD(authority),        FIELD(tenant),   FIELD(client_id),
    FIELD(client_secret), FIELD(certificate_file), FIELD(key_file), FIELD(token_file),
    FIELD(endpoint),      FIELD(identity_header),  FIELD(scope),
};

enum { TEXT_COUNT = sizeof TEXTS / sizeof TEXTS[0] };

static bool is_missing(const char *text)
{
    return !text || !*text;
}

/* Of an application. */
static int check_proof(const struct sl_oauth_settings *settings, struct sl_err *err)
{
    static const char *const NAMES[] = {"client_secret", "certificate_file", "token_file"};
    const char *const proof[] = {settings->client_secret, settings->certificate_file,
                                 settings->token_file};
    if (is_missing(settings->tenant) || is_missing(settings->client_id) ||
        is_missing(proof[settings->type]))
        return sl_err_set(err, SL_CONFIG, "auth needs tenant, client_id and %s",
                          NAMES[settings->type]);
    return SL_OK;
}

int sl_oauth_settings_check(const struct sl_oauth_settings *settings, struct sl_err *err)
{
    struct sl_url url;
    if (is_missing(settings->scope))
        return sl_err_set(err, SL_CONFIG, "auth needs a scope");
    if (settings->type == SL_OAUTH_IDENTITY)
        return settings->endpoint ? sl_identity_check(settings->endpoint, err) : SL_OK;
    int rc = check_proof(settings, err);
    if (rc == SL_OK && !is_missing(settings->authority))
        rc = sl_url_require_secure(settings->authority, "auth.authority", &url, err);
    return rc;
}

/* The text at that place of TEXTS. */
static const char **text_of(struct sl_oauth_settings *settings, size_t at)
{
    return (const char **)((char *)settings + TEXTS[at]);
}

char *sl_oauth_settings_copy(const struct sl_oauth_settings *settings,
                             struct sl_oauth_settings *ret, size_t *ret_size)
{
    struct sl_oauth_settings copy = *settings;
    size_t size = 0;
    for (size_t i = 0; i < TEXT_COUNT; i++)
        size += *text_of(&copy, i) ? strlen(*text_of(&copy, i)) + 1 : 0;
    char *memory = sl_alloc(size), *at = memory;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const char **text = text_of(&copy, i);
        if (!*text)
            continue;
        size_t length = strlen(*text) + 1;
        memcpy(at, *text, length);
        *text = at;
        at += length;
    }
    *ret = copy;
    *ret_size = size;
    return memory;
}
