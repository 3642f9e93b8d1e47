/* Values from outside the file: ${NAME} is the environment variable, ${file:/path} the content of a
 * file without its last line end, $$ a dollar sign. */
#ifndef SL_CONFIG_SUBSTITUTE_H
#define SL_CONFIG_SUBSTITUTE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct sl_substituted {
    bool outside;           /* some of the value came from outside the file: never show it */
    char exposed_path[128]; /* a file that other users may read; "" for none */
};

/* Appends text with its substitutions made (once: what comes from outside is taken as it is) to
 * out. Fails with SL_CONFIG; the message names the variable or the file, never a value. Blocks on
 * files. */
int sl_substitute(struct sl_str text, struct sl_buf *out, struct sl_substituted *ret,
                  struct sl_err *err);

#endif
