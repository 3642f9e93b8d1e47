#include "base/hide.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int sl_hide(struct sl_err *err)
{
#ifndef SLUICE_DUMPABLE
    /* The limit as well: with fs.suid_dumpable=2 the kernel would write a core for root to read. */
    static const struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return sl_err_set(err, SL_CONFIG, "cannot forbid core dumps: %s", strerror(errno));
#endif
    (void)err;
    return SL_OK;
}
