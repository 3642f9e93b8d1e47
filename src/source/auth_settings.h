/* "auth" of a source: how sluice signs in to an environment of the tenant. */
#ifndef SL_SOURCE_AUTH_SETTINGS_H
#define SL_SOURCE_AUTH_SETTINGS_H

#include "base/setting.h"

struct sl_auth_settings {
    int type; /* enum sl_oauth_type; what another type alone has use for is NULL or its default */
    char *authority;
    char *tenant;
    char *client_id; /* NULL: the machine's own managed identity */
    char *client_secret;
    char *certificate_file;
    char *key_file; /* NULL: the key is in certificate_file */
    int algorithm;  /* enum sl_signing */
    char *token_file;
    char *endpoint;
    char *identity_header;
    char *scope; /* NULL: the source's URL without its last '/', and "/.default" */
};

extern const struct sl_setting sl_auth_table[];

#endif
