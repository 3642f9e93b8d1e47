/* Fills structs from the objects of the file, as their settings tables say, and notes every key
 * that is unknown, missing or wrong. */
#ifndef SL_CONFIG_FILL_H
#define SL_CONFIG_FILL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/setting.h"
#include "config/problems.h"
#include "format/json.h"

/* The way from the file's top to an object, for messages: feeds.vendors.entities."Vendors V3". */
struct sl_path {
    const struct sl_path *parent; /* NULL: at the top */
    const char *name;             /* NULL: the top itself */
};

/* Writes the path; one that does not fit is cut. Returns out. */
enum { SL_PATH_BYTES = 320 };
char *sl_path_text(const struct sl_path *path, char out[SL_PATH_BYTES]);

/* One of the structs that an object fills. */
struct sl_part {
    const struct sl_setting *table; /* NULL ends a list of parts */
    void *settings;                 /* zeroed: the table's defaults are put in first */
};

/* Fills parts from object. others (ended by NULL; may be NULL) are keys that the caller reads. When
 * it is no object, that is noted and only the defaults are put in. */
void sl_fill(const struct sl_json *object, const struct sl_path *where, const struct sl_part *parts,
             const char *const *others, struct sl_problems *problems);

/* True when node is an object; else notes that where needs one. */
bool sl_fill_expect_map(const struct sl_json *node, const struct sl_path *where,
                        struct sl_problems *problems);

/* Notes `missing key "source" in feeds.vendors`, at the object's place. */
void sl_fill_missing(const struct sl_json *object, const struct sl_path *where, const char *key,
                     struct sl_problems *problems);

#endif
