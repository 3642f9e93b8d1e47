/* A Dataverse row as the Web API answers it, and as the truth. */
#include "sim/dataverse/row.h"

#include <inttypes.h>
#include <stdio.h>

#include "sim/clock.h"

#define FORMATTED "@OData.Community.Display.V1.FormattedValue"
#define LOOKUP_NAME "@Microsoft.Dynamics.CRM.lookuplogicalname"

static void add_number(struct sim_text *out, int64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (number < 0)
        digits[--at] = '-';
    sim_text_add(out, digits + at, sizeof(digits) - at);
}

static bool is_time(enum dv_kind kind)
{
    return kind == DV_DATETIME || kind == DV_CREATEDON || kind == DV_MODIFIEDON;
}

/* Milliseconds are written when there are any. */
static void write_time(int64_t time_ms, char *out, size_t size)
{
    if (time_ms % 1000)
        sim_clock_iso_ms(time_ms, out, size);
    else
        sim_clock_iso(time_ms, out, size);
}

static void add_answer_value(struct sim_text *out, const struct dv_column *column,
                             const struct dv_value *value)
{
    char iso[40];
    if (value->null) {
        sim_text_add(out, "null", 4);
    } else if (is_time(column->kind)) {
        write_time(value->number, iso, sizeof(iso));
        sim_text_printf(out, "\"%s\"", iso);
    } else if (column->kind == DV_DATE) {
        sim_clock_iso(value->number, iso, sizeof(iso));
        sim_text_printf(out, "\"%.10s\"", iso);
    } else if (column->kind == DV_BOOLEAN) {
        sim_text_puts(out, value->number ? "true" : "false");
    } else if (column->kind == DV_DECIMAL || column->kind == DV_MONEY ||
               column->kind == DV_DOUBLE) {
        sim_text_add(out, value->text, value->len);
    } else if (value->len || column->kind == DV_STRING || column->kind == DV_MEMO) {
        sim_text_json(out, value->text, value->len);
    } else {
        add_number(out, value->number);
    }
}

static void add_annotations(struct sim_text *out, const struct dv_shape *shape,
                            const struct dv_column *column, const struct dv_value *value)
{
    char label[512];
    size_t len = shape->formatted ? dv_value_label(column, value, label, sizeof(label)) : 0;
    if (len) {
        sim_text_printf(out, ",\"%s" FORMATTED "\":", column->field);
        sim_text_json(out, label, len);
    }
    if (shape->lookups && !value->null && *column->target)
        sim_text_printf(out, ",\"%s" LOOKUP_NAME "\":\"%s\"", column->field, column->target);
}

static bool is_numeric(enum dv_kind kind)
{
    return (kind >= DV_INTEGER && kind <= DV_BOOLEAN) || kind == DV_PICKLIST || kind == DV_STATE ||
           kind == DV_STATUS;
}

/* The one value that a spoiled row has instead of its own. False when this column keeps its own. */
static bool add_spoiled(struct sim_text *out, const struct dv_column *column, enum dv_spoil spoil,
                        uint64_t huge_bytes)
{
    if (spoil == DV_WRONG_TYPE && is_numeric(column->kind)) {
        sim_text_puts(out, "\"twelve\"");
        return true;
    }
    if (spoil == DV_HUGE_TEXT && (column->kind == DV_STRING || column->kind == DV_MEMO)) {
        sim_text_reserve(out, huge_bytes + 2);
        sim_text_char(out, '"');
        memset(out->data + out->len, 'x', huge_bytes);
        out->len += huge_bytes;
        sim_text_char(out, '"');
        return true;
    }
    return false;
}

void dv_row_answer(const struct dv_image *image, const struct dv_shape *shape, enum dv_spoil spoil,
                   uint64_t huge_bytes, struct sim_text *out)
{
    struct dv_value value;
    sim_text_reserve(out, 2048);
    sim_text_add(out, "{\"@odata.etag\":\"W/\\\"", 20);
    add_number(out, image->version);
    sim_text_add(out, "\\\"\"", 3);
    for (unsigned i = 0; i < shape->count; i++) {
        const struct dv_column *column = shape->columns[i];
        if (spoil == DV_NO_ID && column->kind == DV_ID)
            continue;
        sim_text_add(out, column->lead, column->lead_len);
        if (spoil != DV_WHOLE && add_spoiled(out, column, spoil, huge_bytes)) {
            spoil = DV_WHOLE;
            continue;
        }
        dv_value_make(image, column, &value);
        add_answer_value(out, column, &value);
        if (shape->formatted || shape->lookups)
            add_annotations(out, shape, column, &value);
    }
    sim_text_char(out, '}');
}

static void add_truth_value(struct sim_text *out, const struct dv_column *column,
                            const struct dv_value *value)
{
    char iso[40];
    if (value->null) {
        sim_text_add(out, "null", 4);
    } else if (is_time(column->kind) || column->kind == DV_DATE) {
        write_time(value->number, iso, sizeof(iso));
        sim_text_printf(out, "{\"$date\":\"%s\"}", iso);
    } else if (column->kind == DV_BOOLEAN) {
        sim_text_puts(out, value->number ? "true" : "false");
    } else if (column->kind == DV_DECIMAL || column->kind == DV_MONEY) {
        sim_text_printf(out, "{\"$numberDecimal\":\"%s\"}", value->text);
    } else if (column->kind == DV_DOUBLE) {
        sim_text_printf(out, "{\"$numberDouble\":\"%s\"}", value->text);
    } else if (value->len || column->kind == DV_STRING || column->kind == DV_MEMO) {
        sim_text_json(out, value->text, value->len);
    } else {
        sim_text_printf(out, "{\"$numberLong\":\"%" PRId64 "\"}", value->number);
    }
}

void dv_row_truth(const struct dv_image *image, const struct dv_shape *shape, struct sim_text *out)
{
    struct dv_value value;
    for (unsigned i = 0; i < shape->count; i++) {
        const struct dv_column *column = shape->columns[i];
        dv_value_make(image, column, &value);
        sim_text_add(out, column->lead + (i == 0), column->lead_len - (i == 0));
        add_truth_value(out, column, &value);
        add_annotations(out, shape, column, &value);
    }
}
