#include "source/auth_settings.h"

#include <stddef.h>

#include "http/identity.h"
#include "http/oauth_settings.h"

#define AUTH(field) offsetof(struct sl_auth_settings, field)

#define SECRET SL_TYPE(SL_OAUTH_SECRET)
#define CERTIFICATE SL_TYPE(SL_OAUTH_CERTIFICATE)
#define FEDERATED SL_TYPE(SL_OAUTH_FEDERATED)
#define IDENTITY SL_TYPE(SL_OAUTH_IDENTITY)
#define APPLICATION (SECRET | CERTIFICATE | FEDERATED) /* those that ask Entra ID itself */

static const char *const HTTPS[] = {"https", NULL};
static const char *const HTTP[] = {"https", "http", NULL};
static const char *const TYPES[] = {
    [SL_OAUTH_SECRET] = "client_secret",
    [SL_OAUTH_CERTIFICATE] = "certificate",
    [SL_OAUTH_FEDERATED] = "federated_token",
    [SL_OAUTH_IDENTITY] = "managed_identity",
    NULL,
};
static const char *const ALGORITHMS[] = {[SL_PS256] = "PS256", [SL_RS256] = "RS256", NULL};

const struct sl_setting sl_auth_table[] = {
    {.name = "type",
     .kind = SL_SET_CHOICE,
     .offset = AUTH(type),
     .fallback = "client_secret",
     .choices = TYPES,
     .help = "how sluice proves who it is: by a secret of the Entra application, by a certificate "
             "of it, by a token of another issuer that it trusts, or as the machine that it runs "
             "on"},
    {.name = "tenant",
     .kind = SL_SET_TEXT,
     .offset = AUTH(tenant),
     .only_for = APPLICATION,
     .required_for = APPLICATION,
     .help = "the Entra tenant: a domain name such as contoso.com, or its GUID"},
    {.name = "client_id",
     .kind = SL_SET_TEXT,
     .offset = AUTH(client_id),
     .required_for = APPLICATION,
     .help = "application (client) id of the Entra application, or of a user-assigned managed "
             "identity; without it the machine's own identity"},
    {.name = "client_secret",
     .kind = SL_SET_SECRET,
     .offset = AUTH(client_secret),
     .only_for = SECRET,
     .required_for = SECRET,
     .help = "a secret of that application; best as ${VARIABLE} or ${file:/path}"},
    {.name = "certificate_file",
     .kind = SL_SET_TEXT,
     .offset = AUTH(certificate_file),
     .only_for = CERTIFICATE,
     .required_for = CERTIFICATE,
     .help = "PEM file of a certificate of that application, read again for every token"},
    {.name = "key_file",
     .kind = SL_SET_TEXT,
     .offset = AUTH(key_file),
     .only_for = CERTIFICATE,
     .help = "PEM file of that certificate's RSA key, without a passphrase; without it the key "
             "stands in certificate_file"},
    {.name = "algorithm",
     .kind = SL_SET_CHOICE,
     .offset = AUTH(algorithm),
     .fallback = "PS256",
     .choices = ALGORITHMS,
     .only_for = CERTIFICATE,
     .help = "how that key signs; RS256, with a SHA-1 thumbprint, where PS256 is not understood"},
    {.name = "token_file",
     .kind = SL_SET_TEXT,
     .offset = AUTH(token_file),
     .only_for = FEDERATED,
     .required_for = FEDERATED,
     .help = "file of the other issuer's token, read again for every token; in Kubernetes "
             "${AZURE_FEDERATED_TOKEN_FILE}"},
    {.name = "endpoint",
     .kind = SL_SET_URL,
     .offset = AUTH(endpoint),
     .fallback = SL_IDENTITY_ENDPOINT,
     .choices = HTTP,
     .only_for = IDENTITY,
     .help = "where the machine is asked for a token, never by way of a proxy; in App Service and "
             "Container Apps ${IDENTITY_ENDPOINT}"},
    {.name = "identity_header",
     .kind = SL_SET_SECRET,
     .offset = AUTH(identity_header),
     .only_for = IDENTITY,
     .help = "what App Service and Container Apps want to be shown there: ${IDENTITY_HEADER}"},
    {.name = "authority",
     .kind = SL_SET_URL,
     .offset = AUTH(authority),
     .fallback = "https://login.microsoftonline.com",
     .choices = HTTPS,
     .only_for = APPLICATION,
     .help = "where tokens are asked for; another one for sovereign clouds"},
    {.name = "scope",
     .kind = SL_SET_TEXT,
     .offset = AUTH(scope),
     .help = "what the token is for; without it the source's URL followed by \"/.default\""},
    {0                                                    },
};
