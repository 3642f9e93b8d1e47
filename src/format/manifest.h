/* Manifest.xml of an export package: which data file belongs to which entity.
 *
 * UTF-16LE or UTF-8, with or without byte order mark and declaration. Entities and DTDs are
 * refused, so nothing is fetched and nothing expands. Structure: the package format of Data
 * Management, as written by D365 (namespace …/dynamics/2015/01/DataManagement; names are matched
 * without it). */
#ifndef SL_FORMAT_MANIFEST_H
#define SL_FORMAT_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/size.h"

enum {
    SL_MANIFEST_BYTES_MAX = SL_SIZE(8 * 1024 * 1024, 8192),
    SL_MANIFEST_ENTITIES_MAX = SL_SIZE(1024, 8),
    SL_MANIFEST_TEXT_MAX = 1024, /* bytes of one name */
};

struct sl_manifest_entity {
    const char *entity_name;     /* "Vendors V3" */
    const char *input_file_path; /* "Vendors V3.csv"; "" when the manifest names none */
    const char *refresh_type;    /* "FullPush"; "" where it is left out, as older ones do */
    const char *disable;         /* "Yes": the project leaves it out; "" as above */
};

struct sl_manifest {
    struct sl_arena arena; /* private: holds all texts */
    struct sl_manifest_entity *entities;
    uint32_t count;
};

/* Parses a whole manifest into *ret (to be ended with sl_manifest_done). Fails with SL_REJECTED and
 * where it is broken; *ret then needs no end. */
int sl_manifest_parse(const void *bytes, size_t size, struct sl_manifest *ret, struct sl_err *err);
void sl_manifest_done(struct sl_manifest *manifest);

#endif
