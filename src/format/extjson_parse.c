/* A whole Extended JSON text: yajl's events go straight to the builder. */
#include <string.h>
#include <yajl/yajl_parse.h>

#include "format/extjson.h"

static int on_null(void *builder)
{
    return sl_extjson_null(builder);
}

static int on_bool(void *builder, int value)
{
    return sl_extjson_bool(builder, value != 0);
}

static int on_number(void *builder, const char *text, size_t length)
{
    return sl_extjson_number(builder, text, length);
}

static int on_string(void *builder, const unsigned char *text, size_t length)
{
    return sl_extjson_string(builder, (const char *)text, length);
}

static int on_key(void *builder, const unsigned char *text, size_t length)
{
    return sl_extjson_key(builder, (const char *)text, length);
}

static int on_start_map(void *builder)
{
    return sl_extjson_start_map(builder);
}

static int on_end_map(void *builder)
{
    return sl_extjson_end_map(builder);
}

static int on_start_array(void *builder)
{
    return sl_extjson_start_array(builder);
}

static int on_end_array(void *builder)
{
    return sl_extjson_end_array(builder);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

int sl_extjson_parse(struct sl_arena *arena, const char *text, size_t size, struct sl_str *ret_doc,
                     struct sl_err *err)
{
    struct sl_extjson_builder builder;
    sl_extjson_builder_init(&builder);
    sl_extjson_begin(&builder, arena, err);
    yajl_handle yajl = yajl_alloc(&callbacks, NULL, &builder);
    yajl_config(yajl, yajl_dont_validate_strings, 1); /* the builder does, more strictly */

    int rc = SL_OK;
    yajl_status status = yajl_parse(yajl, (const unsigned char *)text, size);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(yajl);
    if (status == yajl_status_client_canceled)
        rc = SL_REJECTED; /* the builder has said why */
    else if (status != yajl_status_ok || !sl_extjson_complete(&builder, ret_doc))
        rc = sl_err_set(err, SL_REJECTED, "Extended JSON: malformed or cut off near byte %zu",
                        yajl_get_bytes_consumed(yajl));
    yajl_free(yajl);
    sl_extjson_builder_done(&builder);
    return rc;
}
