/* Manifest.xml of a package: bounded names and entities, nothing expands. */
#include "format/manifest.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_manifest manifest;
    struct sl_err err = {0};
    int rc = sl_manifest_parse(data, size, &manifest, &err);
    if (rc != SL_OK) {
        FUZZ_REQUIRE(rc == SL_REJECTED && *err.message);
        return 0;
    }
    FUZZ_REQUIRE(manifest.count <= SL_MANIFEST_ENTITIES_MAX);
    for (uint32_t i = 0; i < manifest.count; i++) {
        FUZZ_REQUIRE(strlen(manifest.entities[i].entity_name) <= SL_MANIFEST_TEXT_MAX);
        FUZZ_REQUIRE(strlen(manifest.entities[i].input_file_path) <= SL_MANIFEST_TEXT_MAX);
    }
    sl_manifest_done(&manifest);
    return 0;
}
