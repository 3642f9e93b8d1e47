/* Reads the BSON form: the documents of the rows are checked, and stay where they are. */
#include "flow/envelope.h"
#include "format/bson_reader.h"

static void value_of(const struct sl_bson_element *element, struct sl_message_value *ret)
{
    *ret = (struct sl_message_value){.kind = SL_VALUE_OTHER};
    switch (element->type) {
    case SL_BSON_UTF8:
        ret->kind = SL_VALUE_TEXT;
        ret->text = sl_bson_text(element);
        break;
    case SL_BSON_INT64:
        ret->kind = SL_VALUE_WHOLE;
        ret->whole = sl_bson_int64(element);
        break;
    case SL_BSON_INT32:
        ret->kind = SL_VALUE_WHOLE;
        ret->whole = sl_bson_int32(element);
        break;
    case SL_BSON_BOOL:
        ret->kind = SL_VALUE_TRUTH;
        ret->truth = *element->value.at != 0;
        break;
    case SL_BSON_DATE:
        ret->kind = SL_VALUE_MOMENT;
        ret->whole = sl_bson_int64(element);
        break;
    default:
        break;
    }
}

static int read_row(struct sl_batch *batch, struct sl_str bytes, struct sl_err *err)
{
    struct sl_message_row row = {.op = ""};
    struct sl_bson_reader reader = {0};
    struct sl_bson_element element;
    int rc = sl_bson_open(&reader, bytes, err);
    while (rc == SL_OK && (rc = sl_bson_next(&reader, &element, err)) == SL_OK) {
        const struct sl_message_field *field = sl_row_field(element.key);
        if (!field || element.type == SL_BSON_NULL)
            continue;
        if (field->kind == SL_FIELD_DOC && element.type == SL_BSON_DOC) {
            bool own;
            rc = sl_bson_check_row(element.value, &own, err);
            row.sound = rc == SL_OK && !own;
            row.doc = element.value;
            sl_message_mark(field, &row.seen);
            continue;
        }
        struct sl_message_value value;
        value_of(&element, &value);
        rc = sl_message_put(&batch->arena, field, &row, &row.seen, &value, err);
    }
    if (rc != SL_END)
        return sl_err_wrap(err, "row %u", batch->count);
    return sl_message_add_row(batch, &row, err);
}

static int read_rows(struct sl_batch *batch, struct sl_str bytes, struct sl_err *err)
{
    struct sl_bson_reader reader = {0};
    struct sl_bson_element element;
    size_t since = 0;
    if (batch->count)
        return sl_err_set(err, SL_REJECTED, "'rows' appears twice");
    int rc = sl_bson_open(&reader, bytes, err);
    while (rc == SL_OK && (rc = sl_bson_next(&reader, &element, err)) == SL_OK) {
        if (element.type != SL_BSON_DOC)
            return sl_err_set(err, SL_REJECTED, "row %u is no document", batch->count);
        rc = read_row(batch, element.value, err);
        since += element.value.length;
        if (rc == SL_OK &&
            (batch->count % SL_MESSAGE_SLICE_ROWS == 0 || since >= SL_MESSAGE_SLICE_BYTES)) {
            since = 0;
            rc = sl_message_breathe(err);
        }
    }
    return rc == SL_END ? SL_OK : rc;
}

int sl_message_read_bson(struct sl_batch *batch, const char *bytes, size_t size,
                         struct sl_envelope *ret, struct sl_err *err)
{
    struct sl_bson_reader reader = {0};
    struct sl_bson_element element;
    int rc = sl_bson_open(&reader, (struct sl_str){bytes, size}, err);
    while (rc == SL_OK && (rc = sl_bson_next(&reader, &element, err)) == SL_OK) {
        const struct sl_message_field *field = sl_envelope_field(element.key);
        if (!field || element.type == SL_BSON_NULL)
            continue;
        if (field->kind == SL_FIELD_ROWS && element.type == SL_BSON_ARRAY) {
            rc = read_rows(batch, element.value, err);
            sl_message_mark(field, &ret->seen);
            continue;
        }
        struct sl_message_value value;
        value_of(&element, &value);
        rc = sl_message_put(&batch->arena, field, ret, &ret->seen, &value, err);
    }
    return rc == SL_END ? SL_OK : rc;
}
