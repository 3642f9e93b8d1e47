/* What names may look like: they become routing keys, metric labels and document ids. */
#ifndef SL_CONFIG_NAMES_H
#define SL_CONFIG_NAMES_H

#include "base/str.h"

enum { SL_CONFIG_NAME_MAX = 120 };

/* Each gives what is wrong with the name, to follow it in a message, or NULL when it is fine. */

/* Of a source or feed: letters, digits, '_', '-' and '.'. */
const char *sl_name_wrong(struct sl_str name);

/* Of an entity, as the source calls it, in any language: no quotes, backslashes or control
 * characters, and something but blanks. */
const char *sl_entity_name_wrong(struct sl_str name);

/* Of a MongoDB collection. */
const char *sl_collection_wrong(const char *name);

/* Of RabbitMQ's exchange. */
const char *sl_exchange_wrong(const char *name);

#endif
