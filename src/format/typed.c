/* Typing cells: one small function a type. A cell is untypable for a reason that a person can act
 * on; the value is shown, but never more than a glimpse of it. */
#include "format/typed.h"

#include <string.h>

#include "base/clock.h"
#include "format/number.h"

enum { SHOWN_BYTES = 40 };

const char *const sl_type_names[] = {"string", "int", "decimal", "double", "bool", "date", NULL};

const char *sl_type_name(enum sl_type type)
{
    return sl_type_names[type];
}

bool sl_type_parse(const char *name, enum sl_type *ret)
{
    for (int i = 0; sl_type_names[i]; i++)
        if (!strcmp(name, sl_type_names[i])) {
            *ret = (enum sl_type)i;
            return true;
        }
    return false;
}

/* The beginning of a cell, printable: control characters become blanks, other doubtful bytes '?'.
 */
static const char *shown(struct sl_str cell, char out[SHOWN_BYTES + 8])
{
    size_t length = sl_utf8_cut(cell.at, cell.length, SHOWN_BYTES);
    bool clipped = length < cell.length;
    bool utf8 = sl_utf8_valid(cell.at, length);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)cell.at[i];
        out[i] = c < 0x20 || c == 0x7f ? ' ' : c >= 0x80 && !utf8 ? '?' : (char)c;
    }
    memcpy(out + length, clipped ? "..." : "", clipped ? 4 : 1);
    return out;
}

static int untypable(struct sl_bson_key key, enum sl_type type, struct sl_str cell, const char *why,
                     struct sl_err *err)
{
    char value[SHOWN_BYTES + 8];
    return sl_err_set(err, SL_REJECTED, "column '%.80s': '%s' is no %s: %s", sl_bson_key_name(key),
                      shown(cell, value), sl_type_name(type), why);
}

static const char *number_why(enum sl_number_fault fault, enum sl_type type)
{
    switch (fault) {
    case SL_NUMBER_RANGE:
        return type == SL_TYPE_INT ? "it does not fit 64 bits" : "its size is out of range";
    case SL_NUMBER_DIGITS:
        return type == SL_TYPE_DECIMAL ? "it has more than 34 digits" : "it has too many digits";
    default:
        return type == SL_TYPE_INT ? "expected digits with an optional sign"
                                   : "expected digits with an optional sign, point and exponent";
    }
}

static int add_number(struct sl_bson_writer *writer, struct sl_bson_key key, enum sl_type type,
                      struct sl_str cell, struct sl_err *err)
{
    enum sl_number_fault fault;
    int64_t whole;
    double real;
    struct sl_decimal decimal;

    if (type == SL_TYPE_INT) {
        fault = sl_int64_parse(cell.at, cell.length, &whole);
        if (!fault)
            sl_bson_add_int64(writer, key, whole);
    } else if (type == SL_TYPE_DOUBLE) {
        fault = sl_double_parse(cell.at, cell.length, &real);
        if (!fault)
            sl_bson_add_double(writer, key, real);
    } else {
        fault = sl_decimal_parse(cell.at, cell.length, &decimal);
        if (!fault)
            sl_bson_add_decimal(writer, key, decimal);
    }
    if (fault)
        return untypable(key, type, cell, number_why(fault, type), err);
    return SL_OK;
}

static int add_bool(struct sl_bson_writer *writer, struct sl_bson_key key, struct sl_str cell,
                    struct sl_err *err)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"yes",   true },
        {"no",    false},
        {"true",  true },
        {"false", false},
        {"1",     true },
        {"0",     false},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (sl_str_equal_nocase(cell, sl_str_of(words[i].word))) {
            sl_bson_add_bool(writer, key, words[i].value);
            return SL_OK;
        }
    return untypable(key, SL_TYPE_BOOL, cell, "expected Yes or No, true or false, 1 or 0", err);
}

static int add_date(struct sl_bson_writer *writer, struct sl_bson_key key, struct sl_str cell,
                    struct sl_err *err)
{
    int64_t wall_ms;
    if (!sl_iso_parse(cell.at, cell.length, &wall_ms))
        return untypable(
            key, SL_TYPE_DATE, cell,
            "expected ISO 8601, as 2026-11-22 or 2026-11-22T03:10:00Z (other forms are "
            "ambiguous: set the export's date format)",
            err);
    sl_bson_add_date(writer, key, wall_ms);
    return SL_OK;
}

static struct sl_str trimmed(struct sl_str cell)
{
    while (cell.length && (*cell.at == ' ' || *cell.at == '\t'))
        cell = (struct sl_str){cell.at + 1, cell.length - 1};
    while (cell.length && (cell.at[cell.length - 1] == ' ' || cell.at[cell.length - 1] == '\t'))
        cell.length--;
    return cell;
}

static int add_string(struct sl_bson_writer *writer, struct sl_bson_key key, struct sl_str cell,
                      const char **ret_code, struct sl_err *err)
{
    if (sl_utf8_valid(cell.at, cell.length)) {
        sl_bson_add_utf8(writer, key, cell.at, cell.length);
        return SL_OK;
    }
    if (ret_code)
        *ret_code = "bad_utf8";
    return untypable(key, SL_TYPE_STRING, cell,
                     "it is not valid UTF-8 (is the export's format CSV-Unicode?)", err);
}

int sl_typed_append(struct sl_bson_writer *writer, struct sl_bson_key key, enum sl_type type,
                    struct sl_str cell, const char **ret_code, struct sl_err *err)
{
    int rc = SL_OK;
    if (type == SL_TYPE_STRING)
        return add_string(writer, key, cell, ret_code, err);

    cell = trimmed(cell);
    if (!cell.length)
        return SL_OK;
    if (type == SL_TYPE_BOOL)
        rc = add_bool(writer, key, cell, err);
    else if (type == SL_TYPE_DATE)
        rc = add_date(writer, key, cell, err);
    else
        rc = add_number(writer, key, type, cell, err);
    if (rc != SL_OK && ret_code)
        *ret_code = "untypable";
    return rc;
}
