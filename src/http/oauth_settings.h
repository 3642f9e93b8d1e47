/* What is needed to ask for tokens: how sluice proves who it is, by whom and for what. */
#ifndef SL_HTTP_OAUTH_SETTINGS_H
#define SL_HTTP_OAUTH_SETTINGS_H

#include <stddef.h>

#include "base/err.h"
#include "http/signer.h"

enum sl_oauth_type {
    SL_OAUTH_SECRET,      /* a secret of the Entra application */
    SL_OAUTH_CERTIFICATE, /* an assertion signed by a certificate of it */
    SL_OAUTH_FEDERATED,   /* a token of an issuer that it trusts (workload identity federation) */
    SL_OAUTH_IDENTITY,    /* the managed identity of the machine: Entra ID is not asked itself */
};

/* Of what a type has no use for, nothing is looked at. */
struct sl_oauth_settings {
    enum sl_oauth_type type;
    const char *source;    /* whose metrics these are; NULL: there are none */
    const char *authority; /* NULL: login.microsoftonline.com; plain http only to a loopback host */
    const char *tenant;    /* "contoso.com" or a GUID */
    const char *client_id; /* IDENTITY: of a user-assigned one; NULL: the machine's own */
    const char *client_secret;
    const char *certificate_file; /* PEM */
    const char *key_file;         /* PEM; NULL: certificate_file holds the key, too */
    enum sl_signing algorithm;
    const char *token_file;
    const char *endpoint;        /* of the managed identity; NULL: SL_IDENTITY_ENDPOINT */
    const char *identity_header; /* secret; NULL: it is the metadata service, not App Service */
    const char *scope;           /* "https://contoso.operations.dynamics.com/.default" */
};

/* SL_OK when there is all that the type needs, and it leads to where it may; else SL_CONFIG. Does
 * not look at files. */
int sl_oauth_settings_check(const struct sl_oauth_settings *settings, struct sl_err *err);

/* Gives a copy of settings, of which the texts live in one piece of memory that is returned, with
 * its size (secret: wipe and free it). */
char *sl_oauth_settings_copy(const struct sl_oauth_settings *settings,
                             struct sl_oauth_settings *ret, size_t *ret_size);

#endif
