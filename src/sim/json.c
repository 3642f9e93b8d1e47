/* Reading members of parsed JSON objects with defaults. */
#include "sim/json.h"

#include <string.h>

yajl_val sim_json_member(yajl_val object, const char *name)
{
    if (!YAJL_IS_OBJECT(object))
        return NULL;
    for (size_t i = 0; i < object->u.object.len; i++)
        if (strcmp(object->u.object.keys[i], name) == 0)
            return object->u.object.values[i];
    return NULL;
}

const char *sim_json_string(yajl_val object, const char *name, const char *otherwise)
{
    yajl_val value = sim_json_member(object, name);
    return YAJL_IS_STRING(value) ? YAJL_GET_STRING(value) : otherwise;
}

int64_t sim_json_number(yajl_val object, const char *name, int64_t otherwise)
{
    yajl_val value = sim_json_member(object, name);
    return YAJL_IS_INTEGER(value) ? YAJL_GET_INTEGER(value) : otherwise;
}
