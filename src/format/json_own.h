/* The inside of the JSON tree: what json.c and json_quick.c both build. */
#ifndef SL_FORMAT_JSON_OWN_H
#define SL_FORMAT_JSON_OWN_H

#include "base/arena.h"
#include "format/json.h"

struct sl_json_doc {
    struct sl_arena arena;
    struct sl_json *root;
};

/* For a text of that size. */
struct sl_json_doc *sl_json_doc_new(size_t size);

/* Whether a member of that name is to be skipped; skip is the option. */
bool sl_json_skipped(const char *const *skip, struct sl_str key);

#endif
