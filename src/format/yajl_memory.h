/* Memory for yajl, which does not look whether there is any: running out ends the program with a
 * message, as in base/mem.h, and not with a crash. */
#ifndef SL_FORMAT_YAJL_MEMORY_H
#define SL_FORMAT_YAJL_MEMORY_H

#include <yajl/yajl_common.h>

/* For yajl_alloc; lives for ever. */
yajl_alloc_funcs *sl_yajl_memory(void);

#endif
