/* "auth" of a source: how sluice signs in to an environment of the tenant. */
#ifndef SL_SOURCE_AUTH_SETTINGS_H
#define SL_SOURCE_AUTH_SETTINGS_H

#include "base/setting.h"

/* How sluice proves who it is; an index into the choices of "type". */
enum sl_auth_type { SL_AUTH_CLIENT_SECRET };

struct sl_auth_settings {
    int type; /* enum sl_auth_type */
    char *authority;
    char *tenant;
    char *client_id;
    char *client_secret;
    char *scope; /* NULL: the source's URL without its last '/', and "/.default" */
};

extern const struct sl_setting sl_auth_table[];

#endif
