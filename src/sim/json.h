/* Reading members of parsed JSON objects with defaults. What they give lives as long as the tree.
 */
#ifndef SIM_JSON_H
#define SIM_JSON_H

#include <stdint.h>

#include <yajl/yajl_tree.h>

/* A member of any kind; NULL when object is no object or has none. */
yajl_val sim_json_member(yajl_val object, const char *name);

/* A string member, else the given default. */
const char *sim_json_string(yajl_val object, const char *name, const char *otherwise);

/* An integer member, else the given default. */
int64_t sim_json_number(yajl_val object, const char *name, int64_t otherwise);

#endif
