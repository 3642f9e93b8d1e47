/* A Dataverse row as attributes of an event, in the wire form of .NET's DataContract serializer.
 * Source: "Use webhooks" of Microsoft's documentation, and payloads that others have recorded. */
#include "sim/dataverse/row.h"

#include <inttypes.h>
#include <stdio.h>

#define CONTRACTS "http:\\/\\/schemas.microsoft.com\\/xrm\\/2011\\/Contracts"

void dv_text_slashed(struct sim_text *out, const char *text, size_t len)
{
    size_t start = out->len;
    sim_text_json(out, text, len);
    size_t slashes = 0;
    for (size_t i = start; i < out->len; i++)
        slashes += out->data[i] == '/';
    if (slashes == 0)
        return;
    /* From the end backwards, so that nothing is overwritten before it was moved. */
    sim_text_reserve(out, slashes);
    size_t from = out->len;
    size_t to = out->len + slashes;
    out->len = to;
    out->data[to] = '\0';
    while (from > start) {
        char c = out->data[--from];
        out->data[--to] = c;
        if (c == '/')
            out->data[--to] = '\\';
    }
}

void dv_row_reference(const char *table, const char *guid, bool with_type, struct sim_text *out)
{
    sim_text_puts(out, with_type ? "{\"__type\":\"EntityReference:" CONTRACTS "\"," : "{");
    sim_text_printf(out,
                    "\"Id\":\"%s\",\"KeyAttributes\":[],\"LogicalName\":\"%s\",\"Name\":null,"
                    "\"RowVersion\":null}",
                    guid, table);
}

static void add_option(struct sim_text *out, int64_t number)
{
    sim_text_printf(out, "{\"__type\":\"OptionSetValue:" CONTRACTS "\",\"Value\":%" PRId64 "}",
                    number);
}

static void add_value(struct sim_text *out, const struct dv_column *column,
                      const struct dv_value *value)
{
    if (value->null) {
        sim_text_puts(out, "null");
        return;
    }
    switch (column->kind) {
    case DV_MONEY:
        sim_text_printf(out, "{\"__type\":\"Money:" CONTRACTS "\",\"Value\":%s}", value->text);
        break;
    case DV_DECIMAL:
    case DV_DOUBLE:
        sim_text_add(out, value->text, value->len);
        break;
    case DV_PICKLIST:
    case DV_STATE:
    case DV_STATUS:
        add_option(out, value->number);
        break;
    case DV_MULTI:
        sim_text_char(out, '[');
        for (size_t i = 0; i < value->len; i += 2) {
            if (i)
                sim_text_char(out, ',');
            add_option(out, value->text[i] - '0');
        }
        sim_text_char(out, ']');
        break;
    case DV_LOOKUP:
    case DV_OWNER:
        dv_row_reference(column->target, value->text, true, out);
        break;
    case DV_BOOLEAN:
        sim_text_puts(out, value->number ? "true" : "false");
        break;
    case DV_DATETIME:
    case DV_DATE:
    case DV_CREATEDON:
    case DV_MODIFIEDON:
        sim_text_printf(out, "\"\\/Date(%" PRId64 ")\\/\"", value->number);
        break;
    case DV_INTEGER:
    case DV_BIGINT:
    case DV_VERSION:
        sim_text_printf(out, "%" PRId64, value->number);
        break;
    default:
        dv_text_slashed(out, value->text, value->len);
        break;
    }
}

static bool is_told(const struct dv_image *image, const struct dv_column *column, bool changed_only)
{
    return column->kind != DV_VERSION && (!changed_only || dv_value_changed(image, column));
}

void dv_row_attributes(const struct dv_image *image, bool changed_only, struct sim_text *out)
{
    struct dv_value value;
    const char *comma = "";
    for (unsigned i = 0; i < image->column_count; i++) {
        const struct dv_column *column = &image->schema->columns[i];
        if (!is_told(image, column, changed_only))
            continue;
        dv_value_make(image, column, &value);
        if (value.null && image->schema->is_virtual)
            continue;
        sim_text_printf(out, "%s{\"key\":\"%s\",\"value\":", comma, column->name);
        add_value(out, column, &value);
        sim_text_char(out, '}');
        comma = ",";
    }
}

void dv_row_labels(const struct dv_image *image, bool changed_only, struct sim_text *out)
{
    struct dv_value value;
    char label[512];
    const char *comma = "";
    for (unsigned i = 0; i < image->column_count; i++) {
        const struct dv_column *column = &image->schema->columns[i];
        if (!is_told(image, column, changed_only))
            continue;
        dv_value_make(image, column, &value);
        size_t len = dv_value_label(column, &value, label, sizeof(label));
        if (len == 0)
            continue;
        sim_text_printf(out, "%s{\"key\":\"%s\",\"value\":", comma, column->name);
        dv_text_slashed(out, label, len);
        sim_text_char(out, '}');
        comma = ",";
    }
}
