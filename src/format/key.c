/* Joining keys. The longest a part can become is twice its length, so one allocation is enough. */
#include "format/key.h"

#include <string.h>
#include <strings.h>

struct sl_key_part sl_key_part_of(const char *column)
{
    return (struct sl_key_part){column, !strcasecmp(column, "dataAreaId")};
}

static char *add_part(char *out, struct sl_str value, bool lower)
{
    for (size_t i = 0; i < value.length; i++) {
        char c = value.at[i];
        if (c == '|' || c == '\\')
            *out++ = '\\';
        *out++ = lower && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    return out;
}

static int refuse(const char *code, const char **ret_code, const char *column, const char *why,
                  struct sl_err *err)
{
    if (ret_code)
        *ret_code = code;
    return sl_err_set(err, SL_REJECTED, "the key column '%.80s' %s", column, why);
}

int sl_key_join(struct sl_arena *arena, const struct sl_key_part *parts,
                const struct sl_str *values, uint32_t count, struct sl_str *ret_key,
                const char **ret_code, struct sl_err *err)
{
    size_t most = count + 1;
    for (uint32_t i = 0; i < count; i++) {
        if (!values[i].length)
            return refuse("empty_key", ret_code, parts[i].column, "is empty", err);
        if (!sl_utf8_valid(values[i].at, values[i].length))
            return refuse("bad_utf8", ret_code, parts[i].column, "is not valid UTF-8", err);
        most += 2 * values[i].length;
    }
    char *key = sl_arena_alloc(arena, most), *out = key;
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            *out++ = '|';
        out = add_part(out, values[i], parts[i].lower);
    }
    *out = 0;
    size_t length = (size_t)(out - key);
    sl_arena_trim(arena, key, most, length + 1);
    *ret_key = (struct sl_str){key, length};
    return SL_OK;
}
