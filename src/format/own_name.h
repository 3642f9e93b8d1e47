/* The fields that sluice itself puts into every document: no column may be called so. */
#ifndef SL_FORMAT_OWN_NAME_H
#define SL_FORMAT_OWN_NAME_H

#include <stdbool.h>

#include "base/str.h"

/* Is it "_id" or "_sluice"? */
static inline bool sl_name_is_own(struct sl_str name)
{
    return name.length && name.at[0] == '_' &&
           (sl_str_is(name, "_id") || sl_str_is(name, "_sluice"));
}

#endif
