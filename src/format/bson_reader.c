/* The BSON reader. */
#include "format/bson_reader.h"

#include "format/own_name.h"

static int malformed(struct sl_err *err, const char *what)
{
    return sl_err_set(err, SL_REJECTED, "malformed BSON: %s", what);
}

static uint32_t get32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

int sl_bson_open(struct sl_bson_reader *ret, struct sl_str doc, struct sl_err *err)
{
    if (doc.length < 5 || get32(doc.at) != doc.length)
        return malformed(err, "a document's length is wrong");
    if (doc.at[doc.length - 1])
        return malformed(err, "a document does not end with NUL");
    ret->at = doc.at + 4;
    ret->end = doc.at + doc.length - 1;
    return SL_OK;
}

/* The size of the value at at, of which left bytes are there; 0 when it cannot be; SIZE_MAX when
 * the type is not carried. SL_BSON_NULL is asked elsewhere. */
static size_t value_size(uint8_t type, const char *at, size_t left)
{
    uint32_t length = left >= 4 ? get32(at) : 0;
    switch (type) {
    case SL_BSON_DOUBLE:
    case SL_BSON_DATE:
    case SL_BSON_INT64:
        return 8;
    case SL_BSON_INT32:
        return 4;
    case SL_BSON_BOOL:
        return left && (uint8_t)*at > 1 ? 0 : 1;
    case SL_BSON_OID:
        return 12;
    case SL_BSON_DECIMAL:
        return 16;
    case SL_BSON_UTF8:
        return left >= 5 && length && length <= left - 4 && !at[4 + length - 1] ? 4 + (size_t)length
                                                                                : 0;
    case SL_BSON_BINARY:
        return left >= 5 && at[4] != SL_BSON_OLD_BINARY ? 5 + (size_t)length : 0;
    case SL_BSON_DOC:
    case SL_BSON_ARRAY:
        return length >= 5 ? length : 0;
    default:
        return SIZE_MAX;
    }
}

/* Where the key ends; NULL when it does not. Keys are short: words, not a call. */
static inline const char *find_nul(const char *key, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    for (; end - key >= 8; key += 8) {
        uint64_t word;
        memcpy(&word, key, sizeof word);
        uint64_t zeros = (word - ones) & ~word & tops;
        if (zeros)
            return key + __builtin_ctzll(zeros) / 8;
    }
    return memchr(key, 0, (size_t)(end - key));
}

static inline int next(struct sl_bson_reader *reader, struct sl_bson_element *ret,
                       struct sl_err *err)
{
    if (reader->at == reader->end)
        return SL_END;
    const char *key = reader->at + 1;
    const char *nul = find_nul(key, reader->end);
    if (!nul)
        return malformed(err, "a key does not end");
    ret->type = (uint8_t)*reader->at;
    ret->key = (struct sl_str){key, (size_t)(nul - key)};

    const char *value = nul + 1;
    size_t left = (size_t)(reader->end - value), size = 0;
    if (ret->type != SL_BSON_NULL) {
        size = value_size(ret->type, value, left);
        if (size == SIZE_MAX)
            return sl_err_set(err, SL_REJECTED, "BSON type 0x%02x of field '%.60s' is not carried",
                              ret->type, key);
        if (!size || size > left)
            return sl_err_set(err, SL_REJECTED, "malformed BSON: the value of field '%.60s'", key);
    }
    ret->value = (struct sl_str){value, size};
    reader->at = value + size;
    return SL_OK;
}

int sl_bson_next(struct sl_bson_reader *reader, struct sl_bson_element *ret, struct sl_err *err)
{
    return next(reader, ret, err);
}

/* own may be NULL: nobody asks. */
static int check(struct sl_str doc, unsigned depth, bool *own, struct sl_err *err)
{
    struct sl_bson_reader reader = {0};
    struct sl_bson_element element = {0};
    if (depth > SL_BSON_DEPTH_MAX)
        return sl_err_set(err, SL_REJECTED, "documents nested deeper than %d levels",
                          SL_BSON_DEPTH_MAX);
    int rc = sl_bson_open(&reader, doc, err);
    while (rc == SL_OK && (rc = next(&reader, &element, err)) == SL_OK) {
        if (own && sl_name_is_own(element.key))
            *own = true;
        if (!sl_utf8_valid(element.key.at, element.key.length))
            return malformed(err, "a key is not valid UTF-8");
        if (element.type == SL_BSON_UTF8) {
            struct sl_str text = sl_bson_text(&element);
            if (!sl_utf8_valid(text.at, text.length))
                return sl_err_set(err, SL_REJECTED, "field '%.60s' is not valid UTF-8",
                                  element.key.at);
        } else if (element.type == SL_BSON_DOC || element.type == SL_BSON_ARRAY) {
            rc = check(element.value, depth + 1, NULL, err);
        }
    }
    return rc == SL_END ? SL_OK : rc;
}

int sl_bson_check(struct sl_str doc, struct sl_err *err)
{
    return check(doc, 1, NULL, err);
}

int sl_bson_check_row(struct sl_str doc, bool *ret_own, struct sl_err *err)
{
    *ret_own = false;
    return check(doc, 1, ret_own, err);
}
