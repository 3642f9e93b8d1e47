/* Keys that appear twice in an object. */
#ifndef SL_FORMAT_JSON_REPEATED_H
#define SL_FORMAT_JSON_REPEATED_H

#include "format/json.h"

/* The later one of two children of the map with the same key, or NULL. */
const struct sl_json *sl_json_repeated(const struct sl_json *map);

#endif
