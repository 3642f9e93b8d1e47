/* Tables of which some rows are for some choices of the row "type" alone (base/setting.h). Private
 * to config/. */
#ifndef SL_CONFIG_BY_TYPE_H
#define SL_CONFIG_BY_TYPE_H

#include <stdint.h>

#include "base/str.h"
#include "config/fill.h"

#define SL_BY_TYPE "type"

/* The row that the others depend on; NULL: none does. */
const struct sl_setting *sl_by_type_row(const struct sl_setting *table);

/* Appends the types of a set of SL_TYPE bits: "certificate, federated_token". */
void sl_by_type_names(const struct sl_setting *type, uint32_t types, struct sl_buf *out);

/* Notes the keys of object that its type has no use for, and those that it cannot do without, each
 * with all that the type needs. part was filled from object, its type could be read. */
void sl_by_type_check(const struct sl_json *object, const struct sl_path *where,
                      const struct sl_part *part, struct sl_problems *problems);

#endif
