/* What stands in a cell of a Dataverse row. */
#include "sim/dataverse/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/random.h"

/* A change touches about one column in so many. */
#define COLUMNS_PER_CHANGE 4

static const char *const words[] = {
    "Fjord",    "Tools",  "Nordlys", "Blåbær",    "Ægir",     "Grøn & Sønner", "東京商事",
    "株式会社", "Müller", "Łódź",    "Ñandú",     "\"Best\"", "O'Neill",       "A/S",
    "50 %",     "<none>", "Café",    "\\\\share", "🛶",     "日本",          "Δelta",
    "naïve",    "Ørsted", "Straße",  "harbour",   "crane",    "anchor",        "sluice",
    "lock",     "barge",  "tide",    "quay",
};

static const char *const lines[] = {
    "First line\nsecond line",           "Carriage\r\nreturn, and a tab:\tend",
    "He said \"yes\", then \"no\".",     "Back\\slash and / slash",
    "多言語テキスト 🌊 mixed with ASCII", "a trailing blank ",
    "<b>bold</b> & <i>more</i>",         "c'est l'été, déjà vu",
};

#define WORDS (sizeof(words) / sizeof(words[0]))
#define LINES (sizeof(lines) / sizeof(lines[0]))

/* The revision that the column's value is of: each change touches its own columns only. */
static uint32_t value_revision(const struct dv_image *image, const struct dv_column *column)
{
    uint32_t phase = (uint32_t)(column->salt % COLUMNS_PER_CHANGE);
    uint32_t back = (image->revision + phase) % COLUMNS_PER_CHANGE;
    return image->revision > back ? image->revision - back : 1;
}

bool dv_value_changed(const struct dv_image *image, const struct dv_column *column)
{
    if (column->kind == DV_ID || column->kind == DV_MODIFIEDON)
        return true;
    if (column->kind == DV_VERSION || column->kind == DV_CREATEDON || column->kind == DV_COMPANY)
        return image->revision == 1;
    return value_revision(image, column) == image->revision;
}

static void add_text(struct dv_value *value, const char *text)
{
    size_t len = strlen(text);
    memcpy(value->text + value->len, text, len + 1);
    value->len += len;
}

/* Adds a number in decimal, with zeros before it up to width digits. */
static void add_digits(struct dv_value *value, uint64_t number, size_t width)
{
    char digits[24];
    size_t at = sizeof(digits);
    while (number || sizeof(digits) - at < width) {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    memcpy(value->text + value->len, digits + at, sizeof(digits) - at);
    value->len += sizeof(digits) - at;
    value->text[value->len] = '\0';
}

static void make_string(struct dv_value *value, uint64_t h)
{
    if (h >> 52 == 0)
        return; /* an empty text is not null */
    add_text(value, words[h % WORDS]);
    add_text(value, " ");
    add_text(value, words[h / WORDS % WORDS]);
    add_text(value, " ");
    add_digits(value, (h >> 32) % 100000, 1);
}

static void make_memo(struct dv_value *value, uint64_t h)
{
    for (uint64_t left = 1 + h % 5; left > 0; left--) {
        h = sim_mix(h);
        add_text(value, lines[h % LINES]);
        if (left > 1)
            add_text(value, "\n");
    }
}

/* Digits with a fraction that ends in zeros, as the service writes them. */
static void make_decimal(struct dv_value *value, uint64_t h, const char *zeros)
{
    static const uint64_t sizes[] = {1, 100, 10000, 1000000, 100000000, 100000000000};
    uint64_t whole = (h >> 8) % sizes[h % 6];
    bool negative = (h >> 4) % 8 == 0 && whole > 0;
    add_text(value, negative ? "-" : "");
    add_digits(value, whole, 1);
    add_text(value, ".");
    add_digits(value, (h >> 3) % 3 == 0 ? 0 : (h >> 40) % 10000, 4);
    add_text(value, zeros);
}

/* At most 15 digits, so that a double and its text say the same; some with an exponent. */
static void make_double(struct dv_value *value, uint64_t h)
{
    static const char *const exponents[] = {"", "", "", "", "", "", "E-20", "e+15"};
    add_text(value, h >> 63 ? "-" : "");
    add_digits(value, (h >> 8) % 180, 1);
    add_text(value, ".");
    add_digits(value, (h >> 16) % 10000000, 7);
    add_text(value, exponents[h % 8]);
}

static void make_time(struct dv_value *value, uint64_t h, bool day)
{
    static const int64_t oldest_s = -2208988800;     /* 1900 */
    static const int64_t span_s = 4733510400;        /* 150 years */
    static const int64_t recent_s = 946684800;       /* 2000 */
    static const int64_t recent_span_s = 1009843200; /* 32 years */
    int64_t at_s = h % 16 == 0 ? oldest_s + (int64_t)((h >> 4) % (uint64_t)span_s)
                               : recent_s + (int64_t)((h >> 4) % (uint64_t)recent_span_s);
    if (day)
        at_s -= ((at_s % 86400) + 86400) % 86400;
    value->number = at_s * 1000;
}

static void make_options(struct dv_value *value, uint64_t h)
{
    for (int option = 1; option <= 6; option++)
        if (h >> option & 1)
            value->len +=
                (size_t)sprintf(value->text + value->len, "%s%d", value->len ? "," : "", option);
    value->null = value->len == 0;
}

/* Lookups point into the first thousand rows of the other table, whether those exist or not. */
static void make_lookup(struct dv_value *value, const struct dv_image *image,
                        const struct dv_column *column, uint64_t h)
{
    const char *target = column->target;
    struct dv_schema other = {.salt = sim_mix(sim_fnv(SIM_FNV_START, target, strlen(target)))};
    dv_guid_write(image->seed, &other, (uint32_t)(h % 1000), value->text);
    value->len = DV_GUID_SIZE - 1;
}

static void make_guid(struct dv_value *value, uint64_t h)
{
    dv_guid_of(h, value->text);
    value->len = DV_GUID_SIZE - 1;
}

static int64_t whole_seconds(const struct dv_image *image, int64_t time_ms)
{
    return image->milliseconds ? time_ms : time_ms / 1000 * 1000;
}

static void make_number(const struct dv_column *column, struct dv_value *value, uint64_t h)
{
    switch (column->kind) {
    case DV_INTEGER:
        value->number = h % 4 == 0 ? (int32_t)(h >> 32) : (int32_t)((h >> 8) % 10000);
        break;
    case DV_BIGINT:
        value->number = h % 2 == 0 ? (int64_t)(sim_mix(h) >> (h >> 8 & 15)) : (int64_t)(h >> 44);
        break;
    case DV_BOOLEAN:
        value->number = h & 1;
        break;
    case DV_PICKLIST:
        value->number = (h & 1) ? 1 + (int64_t)(h % 9) : 100000000 + (int64_t)(h % 9);
        break;
    case DV_STATE:
        value->number = h % 5 == 0;
        break;
    default: /* DV_STATUS */
        value->number = 1 + (h % 5 == 0);
        break;
    }
}

void dv_value_make(const struct dv_image *image, const struct dv_column *column,
                   struct dv_value *value)
{
    uint64_t h = sim_mix(sim_mix(image->seed ^ image->schema->salt) + image->index);
    h = sim_mix((h ^ column->salt) + value_revision(image, column) * SIM_GOLDEN);
    bool certain = column->kind == DV_ID || column->kind >= DV_COMPANY ||
                   column->kind == DV_OWNER || column->kind == DV_STATE ||
                   column->kind == DV_STATUS;
    value->len = 0;
    value->text[0] = '\0';
    value->number = 0;
    value->hash = h;
    value->null = image->version <= column->since || (!certain && h >> 60 == 0);
    if (value->null)
        return;
    switch (column->kind) {
    case DV_ID:
        dv_guid_write(image->seed, image->schema, image->index, value->text);
        value->len = DV_GUID_SIZE - 1;
        break;
    case DV_STRING:
        make_string(value, h);
        break;
    case DV_MEMO:
        make_memo(value, h);
        break;
    case DV_DECIMAL:
        make_decimal(value, h, "000000");
        break;
    case DV_MONEY:
        make_decimal(value, h, "");
        break;
    case DV_DOUBLE:
        make_double(value, h);
        break;
    case DV_DATETIME:
    case DV_DATE:
        make_time(value, h, column->kind == DV_DATE);
        break;
    case DV_LOOKUP:
    case DV_OWNER:
        make_lookup(value, image, column, h);
        break;
    case DV_GUID:
        make_guid(value, h);
        break;
    case DV_MULTI:
        make_options(value, h);
        break;
    case DV_COMPANY:
        add_text(value, h & 1 ? "usmf" : "demf");
        break;
    case DV_CREATEDON:
        value->number = whole_seconds(image, image->created_ms);
        break;
    case DV_MODIFIEDON:
        value->number = whole_seconds(image, image->modified_ms);
        break;
    case DV_VERSION:
        value->number = image->version;
        break;
    default:
        make_number(column, value, h);
        break;
    }
}

/* "kr 1 500,50": the thousands apart, a comma, two digits. */
static size_t label_money(const struct dv_value *value, char *out, size_t size)
{
    bool negative = value->text[0] == '-';
    const char *digits = value->text + negative;
    size_t whole = strcspn(digits, ".");
    size_t len = (size_t)snprintf(out, size, "kr %s", negative ? "-" : "");
    for (size_t i = 0; i < whole && len + 8 < size; i++) {
        if (i && (whole - i) % 3 == 0)
            out[len++] = ' ';
        out[len++] = digits[i];
    }
    return len + (size_t)snprintf(out + len, size - len, ",%.2s", digits + whole + 1);
}

/* The user's own way to write a time, here 3/14/2026 9:26 AM. */
static size_t label_time(const struct dv_value *value, bool day, char *out, size_t size)
{
    struct tm tm;
    time_t at_s = (time_t)(value->number / 1000);
    gmtime_r(&at_s, &tm);
    size_t len =
        (size_t)snprintf(out, size, "%d/%d/%d", tm.tm_mon + 1, tm.tm_mday, tm.tm_year + 1900);
    if (day)
        return len;
    return len + (size_t)snprintf(out + len, size - len, " %d:%02d %s",
                                  tm.tm_hour % 12 ? tm.tm_hour % 12 : 12, tm.tm_min,
                                  tm.tm_hour < 12 ? "AM" : "PM");
}

static size_t label_options(const struct dv_value *value, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < value->len && len < size; i += 2)
        len +=
            (size_t)snprintf(out + len, size - len, "%sOption %c", len ? "; " : "", value->text[i]);
    return len;
}

size_t dv_value_label(const struct dv_column *column, const struct dv_value *value, char *out,
                      size_t size)
{
    if (value->null)
        return 0;
    switch (column->kind) {
    case DV_INTEGER:
        return (size_t)snprintf(out, size, "%" PRId64, value->number);
    case DV_MONEY:
        return label_money(value, out, size);
    case DV_BOOLEAN:
        return (size_t)snprintf(out, size, "%s", value->number ? "Yes" : "No");
    case DV_DATETIME:
    case DV_CREATEDON:
    case DV_MODIFIEDON:
        return label_time(value, false, out, size);
    case DV_DATE:
        return label_time(value, true, out, size);
    case DV_PICKLIST:
        return (size_t)snprintf(out, size, "Choice «%" PRId64 "»", value->number % 100000000);
    case DV_STATE:
        return (size_t)snprintf(out, size, "%s", value->number ? "Inactive" : "Active");
    case DV_STATUS:
        return (size_t)snprintf(out, size, "%s", value->number == 2 ? "Inactive" : "Active");
    case DV_LOOKUP:
    case DV_OWNER:
        return (size_t)snprintf(out, size, "%s %s", words[value->hash % WORDS],
                                words[value->hash / WORDS % WORDS]);
    case DV_MULTI:
        return label_options(value, out, size);
    default:
        return 0;
    }
}
