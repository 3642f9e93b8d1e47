#include "cli/letter_row.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/bson_reader.h"
#include "format/extjson.h"

static const char *type_name(uint8_t type)
{
    switch (type) {
    case SL_BSON_UTF8:
        return "string";
    case SL_BSON_INT64:
    case SL_BSON_INT32:
        return "int";
    case SL_BSON_DECIMAL:
        return "decimal";
    case SL_BSON_DOUBLE:
        return "double";
    case SL_BSON_BOOL:
        return "bool";
    case SL_BSON_DATE:
        return "date";
    case SL_BSON_NULL:
        return "null";
    case SL_BSON_ARRAY:
        return "list";
    case SL_BSON_DOC:
        return "object";
    default:
        return "other";
    }
}

/* The row as Extended JSON; false when it has none. */
static bool reveal_row(const struct sl_letter *letter, struct sl_buf *out)
{
    return sl_extjson_write(out, letter->row.at, letter->row.length, NULL) == SL_OK;
}

static void print_clean(struct sl_str text, FILE *out)
{
    char *shown = sl_strndup(text.at, text.length);
    sl_text_clean(shown);
    fprintf(out, "%s\n", shown);
    free(shown);
}

static void show_columns(const struct sl_letter *letter, FILE *out)
{
    struct sl_bson_reader reader;
    struct sl_bson_element element;
    if (sl_bson_open(&reader, letter->row, NULL) != SL_OK)
        return;
    while (sl_bson_next(&reader, &element, NULL) == SL_OK) {
        char *name = sl_strndup(element.key.at, element.key.length); /* anybody who posts says it */
        sl_text_clean(name);
        fprintf(out, "  %-30s %s\n", name, type_name(element.type));
        free(name);
    }
}

static void show_raw(const struct sl_letter *letter, bool reveal, FILE *out)
{
    if (letter->header.length) {
        fputs("  columns: ", out);
        print_clean(letter->header, out);
    }
    if (reveal) {
        fputs("  values:  ", out);
        print_clean(letter->row, out);
    }
}

void sl_letter_row_show(const struct sl_letter *letter, bool reveal, FILE *out)
{
    static const char *const forms[] = {"not kept", "typed", "bytes", "as its file had it"};
    struct sl_buf json;
    fprintf(out, "row       %s", forms[letter->form]);
    if (letter->form != SL_ROW_NONE)
        fprintf(out, ", %zu bytes%s%s", letter->row.length,
                letter->cut ? ", only a part of it" : "",
                reveal ? "" : "; the values are masked, --reveal shows them");
    fputc('\n', out);
    if (letter->form == SL_ROW_RAW) {
        show_raw(letter, reveal, out);
    } else if (letter->form != SL_ROW_NONE && reveal) {
        sl_buf_init(&json);
        if (reveal_row(letter, &json))
            fprintf(out, "  %s\n", json.data);
        sl_buf_done(&json);
    } else if (letter->form != SL_ROW_NONE) {
        show_columns(letter, out);
    }
}

static void json_columns(const struct sl_letter *letter, struct sl_buf *out)
{
    struct sl_bson_reader reader;
    struct sl_bson_element element;
    const char *comma = "";
    sl_buf_add_text(out, "{");
    if (sl_bson_open(&reader, letter->row, NULL) == SL_OK)
        while (sl_bson_next(&reader, &element, NULL) == SL_OK) {
            sl_buf_printf(out, "%s\"", comma);
            sl_buf_add_json(out, element.key.at, element.key.length);
            sl_buf_printf(out, "\":\"%s\"", type_name(element.type));
            comma = ",";
        }
    sl_buf_add_text(out, "}");
}

static void json_text(const char *name, struct sl_str text, struct sl_buf *out)
{
    sl_buf_printf(out, ",\"%s\":\"", name);
    sl_buf_add_json(out, text.at, text.length);
    sl_buf_add_char(out, '"');
}

void sl_letter_row_json(const struct sl_letter *letter, bool reveal, struct sl_buf *out)
{
    if (letter->form == SL_ROW_NONE)
        return;
    sl_buf_printf(out, ",\"row_bytes\":%zu,\"row_cut\":%s", letter->row.length,
                  letter->cut ? "true" : "false");
    if (letter->form == SL_ROW_RAW) {
        if (letter->header.length)
            json_text("header", letter->header, out);
        if (reveal)
            json_text("raw", letter->row, out);
        return;
    }
    sl_buf_add_text(out, reveal ? ",\"row\":" : ",\"columns\":");
    if (!reveal)
        json_columns(letter, out);
    else if (!reveal_row(letter, out))
        sl_buf_add_text(out, "null");
}
