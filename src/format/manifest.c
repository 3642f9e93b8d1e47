/* The manifest: expat finds the elements; the texts of EntityName, InputFilePath,
 * DefaultRefreshType and Disable that are direct children of a DataManagementPackageEntityData are
 * kept, everything else passes. */
#include "format/manifest.h"

#include <expat.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "format/encoding.h"

enum { DEPTH_MAX = SL_SIZE(64, 12), FIRST_ENTITIES = SL_SIZE(16, 2) };

struct reader {
    XML_Parser parser;
    struct sl_manifest *manifest;
    uint32_t capacity;
    unsigned depth;        /* open elements */
    unsigned entity_depth; /* of the open entity element; 0: none */
    bool root_right;
    const char **target; /* where the text that is being gathered goes; NULL: none */
    struct sl_buf text;
    struct sl_err *err;
    bool failed;
};

/* Where the parser is. expat 2.9 calls the old name deprecated. */
static unsigned long line_of(const struct reader *r)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
    return (unsigned long)XML_GetCurrentLineNumber64(r->parser);
#else
    return (unsigned long)XML_GetCurrentLineNumber(r->parser);
#endif
}

static void fail(struct reader *r, const char *why)
{
    if (r->failed)
        return;
    r->failed = true;
    sl_err_set(r->err, SL_REJECTED, "manifest, line %lu: %s", line_of(r), why);
    XML_StopParser(r->parser, XML_FALSE);
}

/* "namespace|name" without its namespace. */
static const char *local_name(const char *name)
{
    const char *bar = strrchr(name, '|');
    return bar ? bar + 1 : name;
}

static void add_entity(struct reader *r)
{
    struct sl_manifest *manifest = r->manifest;
    if (manifest->count == SL_MANIFEST_ENTITIES_MAX) {
        fail(r, "it lists too many entities");
        return;
    }
    if (manifest->count == r->capacity) {
        uint32_t capacity = r->capacity ? r->capacity * 2 : FIRST_ENTITIES;
        manifest->entities = sl_arena_grow(&manifest->arena, manifest->entities,
                                           r->capacity * sizeof *manifest->entities,
                                           capacity * sizeof *manifest->entities);
        r->capacity = capacity;
    }
    manifest->entities[manifest->count++] = (struct sl_manifest_entity){"", "", "", ""};
    r->entity_depth = r->depth;
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct reader *r = ctx;
    const char *local = local_name(name);
    if (++r->depth > DEPTH_MAX) {
        fail(r, "its elements are nested too deep");
        return;
    }
    if (r->depth == 1)
        r->root_right = !strcmp(local, "DataManagementPackageManifest");
    if (!r->entity_depth && !strcmp(local, "DataManagementPackageEntityData")) {
        add_entity(r);
        return;
    }
    r->target = NULL;
    if (r->failed || !r->entity_depth || r->depth != r->entity_depth + 1)
        return;
    struct sl_manifest_entity *entity = &r->manifest->entities[r->manifest->count - 1];
    if (!strcmp(local, "EntityName"))
        r->target = &entity->entity_name;
    else if (!strcmp(local, "InputFilePath"))
        r->target = &entity->input_file_path;
    else if (!strcmp(local, "DefaultRefreshType"))
        r->target = &entity->refresh_type;
    else if (!strcmp(local, "Disable"))
        r->target = &entity->disable;
    sl_buf_clear(&r->text);
}

static void on_text(void *ctx, const XML_Char *text, int length)
{
    struct reader *r = ctx;
    if (!r->target)
        return;
    if (r->text.length + (size_t)length > SL_MANIFEST_TEXT_MAX) {
        fail(r, "a name in it is too long");
        return;
    }
    sl_buf_add(&r->text, text, (size_t)length);
}

static void on_end(void *ctx, const XML_Char *name)
{
    (void)name;
    struct reader *r = ctx;
    if (r->target && !r->failed) {
        struct sl_str text = sl_buf_view(&r->text);
        *r->target = sl_arena_text(&r->manifest->arena, text.at, text.length);
    }
    r->target = NULL;
    if (r->depth == r->entity_depth)
        r->entity_depth = 0;
    r->depth--;
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    fail(ctx, "it has a document type declaration, which is not accepted");
}

static int check(struct reader *r, enum XML_Status status)
{
    if (r->failed)
        return SL_REJECTED;
    if (status != XML_STATUS_OK)
        return sl_err_set(r->err, SL_REJECTED, "manifest, line %lu: broken XML: %s", line_of(r),
                          XML_ErrorString(XML_GetErrorCode(r->parser)));
    if (!r->root_right)
        return sl_err_set(r->err, SL_REJECTED,
                          "manifest: its outermost element is no DataManagementPackageManifest");
    for (uint32_t i = 0; i < r->manifest->count; i++)
        if (!*r->manifest->entities[i].entity_name)
            return sl_err_set(r->err, SL_REJECTED, "manifest: its entity %u has no name", i + 1);
    return SL_OK;
}

/* What the bytes are beats what a declaration says: .NET programs declare UTF-16 and write UTF-8.
 */
static const char *encoding_of(const void *bytes, size_t size)
{
    if (sl_encoding_sniff(bytes, size) == SL_ENCODING_UTF16LE)
        return "UTF-16LE";
    return sl_utf8_valid(bytes, size) ? "UTF-8" : NULL;
}

int sl_manifest_parse(const void *bytes, size_t size, struct sl_manifest *ret, struct sl_err *err)
{
    if (size > SL_MANIFEST_BYTES_MAX)
        return sl_err_set(err, SL_REJECTED, "manifest: %zu bytes are too many", size);
    memset(ret, 0, sizeof *ret);
    sl_arena_init(&ret->arena, 4096);
    struct reader reader = {.manifest = ret, .err = err};
    reader.parser = XML_ParserCreateNS(encoding_of(bytes, size), '|');
    if (!reader.parser) {
        sl_manifest_done(ret);
        return sl_err_set(err, SL_REJECTED, "manifest: no memory for the parser");
    }
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);

    int rc = check(&reader, XML_Parse(reader.parser, bytes, (int)size, XML_TRUE));
    XML_ParserFree(reader.parser);
    sl_buf_done(&reader.text);
    if (rc != SL_OK)
        sl_manifest_done(ret);
    return rc;
}

void sl_manifest_done(struct sl_manifest *manifest)
{
    sl_arena_done(&manifest->arena);
    manifest->entities = NULL;
    manifest->count = 0;
}
