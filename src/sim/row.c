/* Makes the cells of a row out of a hash: names, notes, numbers and dates. */
#include "sim/row.h"

#include "sim/random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const first_names[] = {
    "Fjord", "Nordlys",      "Contoso", "Blåbær",  "Østfold",  "Høyfjell",
    "山田",  "東海",         "Granitt", "Kystens", "Fabrikam", "Solvind",
    "Ærlig", "Midnight Sun", "Tundra",  "Zürich",  "Smørbukk"};
static const char *const second_names[] = {
    "Tools",     "Logistics", "Verktøy",  "Trading",   "製作所",   "Foods",   "Bygg & Anlegg",
    "Maritime",  "Elektro",   "Papir",    "Lumber",    "Seafood",  "Kraft",   "Instruments",
    "Transport", "Møbler",    "Software", "Chemicals", "Textiles", "Bearings"};
static const char *const endings[] = {" AS",  " ASA", " GmbH",     " Inc.",
                                      " Ltd", "",     " 株式会社", " AB"};
static const char *const streets[] = {"Storgata",    "Kirkeveien",  "Skippergata", "Åsveien",
                                      "Hafenstraße", "Main Street", "Havnegata",   "銀座"};
static const char *const words[] = {
    "delivery", "before",  "noon",    "pallet", "invoice", "kontakt",   "lager",   "the",
    "order",    "was",     "split",   "into",   "ordre",   "og",        "faktura", "sendes",
    "samlet",   "quality", "checked", "by",     "return",  "of",        "damaged", "goods",
    "price",    "agreed",  "per",     "unit",   "påfyll",  "størrelse", "frakt",   "agreement",
    "number",   "customs", "papers",  "follow", "bilag",   "årlig",     "rabatt"};
static const char *const wrong_values[] = {"n/a",     "abc", "12,5x",
                                           "unknown", "--",  "31.31.2026 at 9"};

static void add_two_digits(struct sim_text *out, unsigned value)
{
    sim_text_char(out, (char)('0' + value / 10 % 10));
    sim_text_char(out, (char)('0' + value % 10));
}

static void add_number(struct sim_text *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    sim_text_add(out, digits + at, sizeof(digits) - at);
}

/* Some names hold the delimiter or the quote, so that most files need quoting somewhere. */
static void add_business(struct sim_text *out, uint64_t h)
{
    const char *first = first_names[h % COUNT(first_names)];
    const char *second = second_names[(h >> 8) % COUNT(second_names)];
    const char *ending = endings[(h >> 16) % COUNT(endings)];
    switch ((h >> 32) % 16) {
    case 0:
        sim_text_puts(out, second);
        sim_text_add(out, ", ", 2);
        sim_text_puts(out, first);
        break;
    case 1:
        sim_text_add(out, "The \"", 5);
        sim_text_puts(out, first);
        sim_text_add(out, "\" ", 2);
        sim_text_puts(out, second);
        break;
    case 2:
        add_number(out, 1 + (h >> 40) % 24);
        sim_text_add(out, "\" pipe, ", 8);
        sim_text_puts(out, first);
        break;
    default:
        sim_text_puts(out, first);
        sim_text_char(out, ' ');
        sim_text_puts(out, second);
        sim_text_puts(out, ending);
    }
}

static void add_street(struct sim_text *out, uint64_t h)
{
    static const char *const breaks[] = {"\n", "\r\n", ", ", "\r"};
    sim_text_puts(out, streets[h % COUNT(streets)]);
    sim_text_char(out, ' ');
    add_number(out, 1 + (h >> 8) % 299);
    sim_text_puts(out, breaks[(h >> 20) % COUNT(breaks)]);
    add_two_digits(out, (unsigned)((h >> 24) % 100));
    add_two_digits(out, (unsigned)((h >> 32) % 100));
    sim_text_char(out, ' ');
    sim_text_puts(out, first_names[(h >> 40) % COUNT(first_names)]);
}

static void add_email(struct sim_text *out, uint64_t h)
{
    sim_text_puts(out, words[h % COUNT(words)]);
    sim_text_char(out, '.');
    add_number(out, (h >> 8) % 10000);
    sim_text_add(out, "@example.com", 12);
}

static void add_phone(struct sim_text *out, uint64_t h)
{
    sim_text_add(out, "+47 ", 4);
    for (int i = 0; i < 4; i++) {
        add_two_digits(out, (unsigned)((h >> (i * 8)) % 100));
        if (i < 3)
            sim_text_char(out, ' ');
    }
}

static void add_guid(struct sim_text *out, uint64_t h)
{
    static const char hex[] = "0123456789abcdef";
    const uint64_t halves[2] = {sim_mix(h), sim_mix(h + 1)};
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            sim_text_char(out, '-');
        sim_text_char(out, hex[(halves[i / 16] >> (i % 16 * 4)) & 15]);
    }
}

static void add_words(struct sim_text *out, uint64_t h, size_t size)
{
    size_t end = out->len + size;
    uint64_t state = h;
    while (out->len < end) {
        uint64_t r = sim_random(&state);
        for (int i = 0; i < 6 && out->len < end; i++, r >>= 9) {
            sim_text_puts(out, words[r % COUNT(words)]);
            sim_text_char(out, ' ');
        }
    }
    out->len--; /* the last space */
}

/* Free text. Half of it is harmless; the rest is what breaks parsers. */
static void add_note(struct sim_text *out, uint64_t h, size_t size)
{
    static const char *const nasty[] = {
        "\n",   "\r\n",   "\r",     " \"quoted, twice\" ",
        "\"\"", ",,,",    " 📦🚚 ",   "数量を確認してください。",
        "\n\n", "\t\\\\", " é̂ ",    "\"\n\"",
        ",\"",  "\",",    "\r\n\"", " ½ € ",
    };
    size_t target = size / 2 + (h >> 8) % size;
    switch (h % 64) {
    case 0:
        sim_text_char(out, '"');
        return;
    case 1:
        sim_text_add(out, "  ", 2);
        add_words(out, h, target);
        sim_text_char(out, ' ');
        return;
    case 2:
        sim_text_char(out, '"');
        add_words(out, h, target);
        sim_text_char(out, '"');
        return;
    case 3:
        add_words(out, h, target);
        sim_text_puts(out, (h >> 33) % 2 ? "\n" : "\r\n");
        return;
    case 4:
        sim_text_char(out, ',');
        return;
    case 5:
        sim_text_char(out, '\n');
        return;
    default:
        break;
    }
    add_words(out, h, target / 2 + 1);
    if (h % 2)
        sim_text_puts(out, nasty[(h >> 40) % COUNT(nasty)]);
    else
        sim_text_add(out, ". ", 2);
    add_words(out, h + 1, target / 2 + 1);
}

static void add_amount(struct sim_text *out, uint64_t h, unsigned decimals)
{
    static const uint64_t ranges[] = {1,       100,     10000,     10000,
                                      1000000, 1000000, 100000000, 1000000000000};
    if (h % 10 == 0)
        sim_text_char(out, '-');
    /* Now and then more digits than a double can hold. */
    uint64_t whole = h % 97 == 0 ? 10000000000000000u + (h >> 20) % 1000000000000u
                                 : (h >> 8) % ranges[(h >> 4) % COUNT(ranges)];
    add_number(out, whole);
    sim_text_char(out, '.');
    uint64_t rest = sim_mix(h);
    for (unsigned i = 0; i < decimals; i++, rest /= 10)
        sim_text_char(out, (char)('0' + rest % 10));
}

static void add_int(struct sim_text *out, uint64_t h, unsigned digits)
{
    uint64_t range = 10;
    for (unsigned i = 1; i < 1 + h % digits; i++)
        range *= 10;
    if ((h >> 8) % 20 == 0)
        sim_text_char(out, '-');
    add_number(out, 1 + (h >> 12) % (range - 1));
}

static void add_double(struct sim_text *out, uint64_t h)
{
    static const char *const eighths[] = {"0", "125", "25", "375", "5", "625", "75", "875"};
    if (h % 4 == 0)
        sim_text_char(out, '-');
    add_number(out, (h >> 8) % 1000);
    sim_text_char(out, '.');
    sim_text_puts(out, eighths[(h >> 24) % COUNT(eighths)]);
}

static void add_date(struct sim_text *out, uint64_t h)
{
    if (h % 50 == 0) { /* what Dynamics has for "no date" */
        sim_text_add(out, "1900-01-01", 10);
        return;
    }
    add_number(out, 1990 + (h >> 8) % 40);
    sim_text_char(out, '-');
    add_two_digits(out, (unsigned)(1 + (h >> 16) % 12));
    sim_text_char(out, '-');
    add_two_digits(out, (unsigned)(1 + (h >> 24) % 28));
}

static void add_time(struct sim_text *out, uint64_t h)
{
    sim_text_char(out, ' ');
    add_two_digits(out, (unsigned)((h >> 32) % 24));
    sim_text_char(out, ':');
    add_two_digits(out, (unsigned)((h >> 40) % 60));
    sim_text_char(out, ':');
    add_two_digits(out, (unsigned)((h >> 48) % 60));
}

static void add_big(struct sim_text *out, uint64_t h, uint64_t size)
{
    size_t start = out->len;
    sim_text_reserve(out, size + 64);
    add_words(out, h, size);
    while (out->len < start + size)
        sim_text_char(out, '.');
    out->len = start + size;
    /* Never end inside a character of two bytes. */
    for (size_t i = out->len; i > start && i + 4 > out->len; i--)
        if ((unsigned char)out->data[i - 1] >= 0x80)
            out->data[i - 1] = 'x';
        else
            break;
}

static void add_word(struct sim_text *out, const struct sim_column *column, uint64_t h)
{
    size_t count = 1;
    while (column->words[count])
        count++;
    sim_text_puts(out, column->words[h % count]);
}

static void add_cell(struct sim_text *out, const struct sim_column *column, uint64_t h)
{
    switch (column->cell) {
    case CELL_WORD:
        add_word(out, column, h);
        break;
    case CELL_BUSINESS:
        add_business(out, h);
        break;
    case CELL_STREET:
        add_street(out, h);
        break;
    case CELL_EMAIL:
        add_email(out, h);
        break;
    case CELL_PHONE:
        add_phone(out, h);
        break;
    case CELL_GUID:
        add_guid(out, h);
        break;
    case CELL_NOTE:
        add_note(out, h, column->size);
        break;
    case CELL_AMOUNT:
        add_amount(out, h, column->size);
        break;
    case CELL_INT:
        add_int(out, h, column->size);
        break;
    case CELL_DOUBLE:
        add_double(out, h);
        break;
    case CELL_BOOL:
        sim_text_puts(out, h % 2 ? "Yes" : "No");
        break;
    case CELL_DATE:
        add_date(out, h);
        break;
    case CELL_DATETIME:
        add_date(out, h);
        add_time(out, h);
        break;
    case CELL_COMPANY:
    case CELL_KEY:
    case CELL_REVISION:
        break; /* made by the caller, who knows them */
    }
}

void sim_row_make(struct sim_row *row, const struct sim_row_of *of)
{
    const struct sim_entity *entity = of->entity;
    struct sim_text *out = &row->bytes;
    sim_text_clear(out);
    sim_text_reserve(out, SIM_ROW_MAX);
    row->count = entity->column_count;

    uint64_t identity =
        sim_fnv(SIM_FNV_START ^ sim_mix(of->seed), entity->label, strlen(entity->label) + 1);
    identity = sim_fnv(identity, of->company, strlen(of->company) + 1);
    identity = sim_mix(sim_fnv(identity, of->key, strlen(of->key)));
    uint64_t content = sim_mix(identity + of->revision);
    bool big = of->big_bytes > 0;

    for (unsigned i = 0; i < entity->column_count; i++) {
        const struct sim_column *column = &entity->columns[i];
        uint64_t h = sim_mix((column->fixed ? identity : content) + (i + 1) * SIM_GOLDEN);
        if (of->fault == FAULT_UNTYPABLE && sim_cell_is_typed(column->cell)) {
            sim_text_puts(out, wrong_values[h % COUNT(wrong_values)]);
        } else if (column->cell == CELL_COMPANY) {
            sim_text_puts(out, of->company);
        } else if (column->cell == CELL_KEY) {
            if (of->fault != FAULT_EMPTY_KEY)
                sim_text_puts(out, of->key);
        } else if (column->cell == CELL_REVISION) {
            add_number(out, of->revision);
        } else if (column->cell == CELL_NOTE && big) {
            add_big(out, h, of->big_bytes);
            big = false;
        } else if (sim_mix(h) % 100 >= column->empty_percent) {
            add_cell(out, column, h);
        }
        row->ends[i] = out->len;
    }
}

void sim_row_done(struct sim_row *row)
{
    sim_text_done(&row->bytes);
}

uint64_t sim_row_hash(const struct sim_row *row)
{
    uint64_t hash = SIM_FNV_START;
    for (unsigned i = 0; i < row->count; i++) {
        size_t len;
        const char *cell = sim_row_cell(row, i, &len);
        hash = sim_fnv(hash, cell, len);
        hash = sim_fnv(hash, "\x1f", 1);
    }
    return hash;
}

const char *sim_fault_name(enum sim_fault fault)
{
    static const char *const names[] = {NULL, "untypable", "wrong_columns", "empty_key"};
    return names[fault];
}
