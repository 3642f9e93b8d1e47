#include "source/auth.h"

#include <string.h>

#include "base/str.h"

int sl_auth_base_length(const char *url)
{
    size_t length = strlen(url);
    while (length && url[length - 1] == '/')
        length--;
    return (int)length;
}

int sl_auth_oauth(struct sl_http *http, const char *source, const struct sl_auth_settings *settings,
                  const char *url, struct sl_oauth **ret, struct sl_err *err)
{
    struct sl_buf scope;
    sl_buf_init(&scope);
    if (settings->scope)
        sl_buf_add_text(&scope, settings->scope);
    else
        sl_buf_printf(&scope, "%.*s/.default", sl_auth_base_length(url), url);

    const struct sl_oauth_settings oauth = {
        .type = (enum sl_oauth_type)settings->type,
        .source = source,
        .authority = settings->authority,
        .tenant = settings->tenant,
        .client_id = settings->client_id,
        .client_secret = settings->client_secret,
        .certificate_file = settings->certificate_file,
        .key_file = settings->key_file,
        .algorithm = (enum sl_signing)settings->algorithm,
        .token_file = settings->token_file,
        .endpoint = settings->endpoint,
        .identity_header = settings->identity_header,
        .scope = scope.data,
    };
    struct sl_oauth *made = sl_oauth_new(http, &oauth, err);
    sl_buf_done(&scope);
    if (!made)
        return SL_CONFIG;
    *ret = made;
    return SL_OK;
}

const char *sl_auth_advice(const struct sl_auth_settings *settings)
{
    return settings->type == SL_OAUTH_IDENTITY
               ? "is this a machine in Azure, and auth.endpoint right?"
               : "can this machine reach auth.authority?";
}
