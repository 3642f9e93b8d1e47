/* The grammar (AMQP 0-9-1 section 4.2.5, value types as RabbitMQ uses them):
 *   table = size32 *( keylength8 key value )      array = size32 *( value )
 *   value = kind8 followed by a fixed size, by size32 bytes, or by a table or array */
#include "broker/table.h"

#include "broker/frame.h"

struct cursor {
    const uint8_t *at;
    size_t left;
    unsigned depth, fields;
};

static bool skip(struct cursor *cursor, size_t size)
{
    if (cursor->left < size)
        return false;
    cursor->at += size;
    cursor->left -= size;
    return true;
}

/* Bytes of a value of that kind; -1: sized by a length field; -2: nested; -3: unknown. */
static int kind_size(uint8_t kind)
{
    switch (kind) {
    case 'V':
        return 0;
    case 't':
    case 'b':
    case 'B':
        return 1;
    case 's':
    case 'u':
        return 2;
    case 'I':
    case 'i':
    case 'f':
        return 4;
    case 'D':
        return 5;
    case 'l':
    case 'L':
    case 'd':
    case 'T':
        return 8;
    case 'S':
    case 'x':
        return -1;
    case 'F':
    case 'A':
        return -2;
    default:
        return -3;
    }
}

static bool check_fields(struct cursor *cursor, bool with_keys);

static bool check_value(struct cursor *cursor)
{
    if (++cursor->fields > SL_TABLE_FIELDS_MAX || !cursor->left)
        return false;
    uint8_t kind = *cursor->at;
    skip(cursor, 1);
    int size = kind_size(kind);
    if (size >= 0)
        return skip(cursor, (size_t)size);
    if (size == -2)
        return check_fields(cursor, kind == 'F');
    if (size == -3 || cursor->left < 4)
        return false;
    size_t length = sl_be32(cursor->at);
    skip(cursor, 4);
    return skip(cursor, length);
}

/* A table (with keys) or an array, from its length field on. */
static bool check_fields(struct cursor *cursor, bool with_keys)
{
    if (cursor->left < 4 || cursor->depth == SL_TABLE_DEPTH_MAX)
        return false;
    size_t length = sl_be32(cursor->at);
    skip(cursor, 4);
    if (cursor->left < length)
        return false;

    struct cursor inside = {cursor->at, length, cursor->depth + 1, cursor->fields};
    while (inside.left) {
        if (with_keys && !skip(&inside, 1 + (size_t)*inside.at))
            return false;
        if (!check_value(&inside))
            return false;
    }
    cursor->fields = inside.fields;
    return skip(cursor, length);
}

bool sl_table_check(const uint8_t *bytes, size_t size, size_t *ret_size)
{
    struct cursor cursor = {.at = bytes, .left = size};
    if (!check_fields(&cursor, true))
        return false;
    *ret_size = size - cursor.left;
    return true;
}
