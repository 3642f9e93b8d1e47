#include "source/auth_settings.h"

#include <stddef.h>

#define AUTH(field) offsetof(struct sl_auth_settings, field)

static const char *const HTTPS[] = {"https", NULL};
static const char *const TYPES[] = {"client_secret", NULL};

const struct sl_setting sl_auth_table[] = {
    {.name = "type",
     .kind = SL_SET_CHOICE,
     .offset = AUTH(type),
     .fallback = "client_secret",
     .choices = TYPES,
     .help = "how sluice proves who it is: by a secret of the Entra application"},
    {.name = "tenant",
     .kind = SL_SET_TEXT,
     .offset = AUTH(tenant),
     .required = true,
     .help = "the Entra tenant: a domain name such as contoso.com, or its GUID"},
    {.name = "client_id",
     .kind = SL_SET_TEXT,
     .offset = AUTH(client_id),
     .required = true,
     .help = "application (client) id of the Entra application"},
    {.name = "client_secret",
     .kind = SL_SET_SECRET,
     .offset = AUTH(client_secret),
     .required = true,
     .help = "a secret of that application; best as ${VARIABLE} or ${file:/path}"},
    {.name = "authority",
     .kind = SL_SET_URL,
     .offset = AUTH(authority),
     .fallback = "https://login.microsoftonline.com",
     .choices = HTTPS,
     .help = "where tokens are asked for; another one for sovereign clouds"},
    {.name = "scope",
     .kind = SL_SET_TEXT,
     .offset = AUTH(scope),
     .help = "what the token is for; without it the source's URL followed by \"/.default\""},
    {0                   },
};
