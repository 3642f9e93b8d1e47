/* Values from outside the file: ${NAME} is the environment variable, ${file:/path} the content of a
 * file without its last line end, ${credential:name} likewise of a file that the service manager
 * gave us (systemd's LoadCredential=), $$ a dollar sign. */
#ifndef SL_CONFIG_SUBSTITUTE_H
#define SL_CONFIG_SUBSTITUTE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "config/secret_file.h"

struct sl_substituted {
    bool outside;               /* some of the value came from outside the file: never show it */
    char doubt[SL_DOUBT_BYTES]; /* why a file that was read keeps no secret; "" for none */
};

/* Appends text with its substitutions made (once: what comes from outside is taken as it is) to
 * out, which is secret (sl_buf_init_secret). Fails with SL_CONFIG; the message names the variable
 * or the file, never a value. Blocks on files. */
int sl_substitute(struct sl_str text, struct sl_buf *out, struct sl_substituted *ret,
                  struct sl_err *err);

#endif
