/* `sluice schema`: the same tables as a JSON Schema (draft 7), for editors. What a schema cannot
 * say (one key for each collection, "every" or "cron") is left to `sluice check`. */
#include "config/shape.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/str.h"
#include "config/by_type.h"
#include "config/reader.h"

/* A text of which some part comes from outside the file may stand for any value. */
#define OUTSIDE "{\"type\": \"string\", \"pattern\": \"\\\\$\\\\{.+\\\\}\"}"

/* Writes JSON with one member a line. */
struct writer {
    FILE *out;
    int depth;
    bool some; /* the open object has a member already */
};

static void key(struct writer *w, const char *name)
{
    fprintf(w->out, "%s\n%*s\"%s\": ", w->some ? "," : "", 2 * w->depth, "", name);
    w->some = true;
}

static void open_map(struct writer *w, const char *name)
{
    if (name)
        key(w, name);
    fputc('{', w->out);
    w->depth++;
    w->some = false;
}

static void close_map(struct writer *w)
{
    w->depth--;
    if (w->some)
        fprintf(w->out, "\n%*s", 2 * w->depth, "");
    fputc('}', w->out);
    w->some = true;
}

/* A member whose value is written already. */
static void raw(struct writer *w, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void raw(struct writer *w, const char *name, const char *format, ...)
{
    va_list args;
    key(w, name);
    va_start(args, format);
    vfprintf(w->out, format, args);
    va_end(args);
}

static void text(struct writer *w, const char *name, const char *value)
{
    struct sl_buf escaped;
    sl_buf_init(&escaped);
    sl_buf_add_json_text(&escaped, value);
    raw(w, name, "%s", escaped.data);
    sl_buf_done(&escaped);
}

/* A member whose value is one of the choices; before and after stand around them. */
static void write_choices(struct writer *w, const char *name, const char *before,
                          const char *const *choices, const char *after)
{
    struct sl_buf all;
    sl_buf_init(&all);
    for (size_t i = 0; choices[i]; i++) {
        sl_buf_add_text(&all, i ? ", " : "");
        sl_buf_add_json_text(&all, choices[i]);
    }
    raw(w, name, "%s{\"enum\": [%s]}%s", before, all.data, after);
    sl_buf_done(&all);
}

static void write_default(struct writer *w, const struct sl_setting *setting)
{
    if (!setting->fallback)
        return;
    if (setting->kind == SL_SET_BOOL || setting->kind == SL_SET_INT)
        raw(w, "default", "%s", setting->fallback);
    else
        text(w, "default", setting->fallback);
}

static void write_int(struct writer *w, const struct sl_setting *setting)
{
    if (setting->minimum || setting->maximum)
        raw(w, "anyOf",
            "[{\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64 "}, " OUTSIDE
            "]",
            setting->minimum, setting->maximum);
    else
        raw(w, "anyOf", "[{\"type\": \"integer\"}, " OUTSIDE "]");
}

/* What a type of the table needs, and what it has no use for: an item of "allOf". */
static void write_type(struct writer *w, const struct sl_setting *table,
                       const struct sl_setting *row, int type)
{
    bool is_default = row->fallback && !strcmp(row->fallback, row->choices[type]);
    struct sl_buf needed, useless;
    sl_buf_init(&needed);
    sl_buf_init(&useless);
    for (const struct sl_setting *setting = table; setting->name; setting++) {
        if (setting->required_for & SL_TYPE(type))
            sl_buf_printf(&needed, "%s\"%s\"", needed.length ? ", " : "", setting->name);
        if (setting->only_for && !(setting->only_for & SL_TYPE(type)))
            sl_buf_printf(&useless, "%s\"%s\": false", useless.length ? ", " : "", setting->name);
    }
    open_map(w, NULL);
    raw(w, "if", "{\"properties\": {\"%s\": {\"const\": \"%s\"}}%s}", row->name, row->choices[type],
        is_default ? "" : ", \"required\": [\"type\"]");
    raw(w, "then", "{\"required\": [%s], \"properties\": {%s}}", needed.length ? needed.data : "",
        useless.length ? useless.data : "");
    close_map(w);
    sl_buf_done(&useless);
    sl_buf_done(&needed);
}

static void write_types_of(struct writer *w, const struct sl_setting *table)
{
    const struct sl_setting *row = sl_by_type_row(table);
    if (!row)
        return;
    key(w, "allOf");
    fputc('[', w->out);
    for (int type = 0; row->choices[type]; type++) {
        fputs(type ? ", " : "", w->out);
        write_type(w, table, row, type);
    }
    fputc(']', w->out);
}

static void write_table(struct writer *w, const struct sl_setting *table);
static void write_required(struct writer *w, const struct sl_setting *const *tables,
                           const char *others);

/* The members of the schema of one setting. */
static void write_kind(struct writer *w, const struct sl_setting *setting)
{
    switch (setting->kind) {
    case SL_SET_BOOL:
        raw(w, "anyOf", "[{\"type\": \"boolean\"}, " OUTSIDE "]");
        break;
    case SL_SET_INT:
        write_int(w, setting);
        break;
    case SL_SET_DURATION:
        raw(w, "anyOf",
            "[{\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h|d)$\"}, " OUTSIDE "]");
        break;
    case SL_SET_SIZE:
        raw(w, "anyOf",
            "[{\"type\": \"string\", \"pattern\": \"^[0-9]+([KMGT]i?B|B)?$\"}, "
            "{\"type\": \"integer\", \"minimum\": 0}, " OUTSIDE "]");
        break;
    case SL_SET_CHOICE:
        write_choices(w, "anyOf", "[", setting->choices, ", " OUTSIDE "]");
        break;
    case SL_SET_LIST:
        raw(w, "anyOf",
            "[{\"type\": \"string\"}, {\"type\": \"array\", \"items\": {\"type\": \"string\"}%s}]",
            setting->required ? ", \"minItems\": 1" : "");
        break;
    case SL_SET_SECTION:
        raw(w, "type", "\"object\"");
        open_map(w, "properties");
        write_table(w, setting->section);
        close_map(w);
        write_required(w, (const struct sl_setting *const[]){setting->section, NULL}, "");
        write_types_of(w, setting->section);
        raw(w, "additionalProperties", "false");
        break;
    default:
        raw(w, "type", "\"string\"");
    }
}

static void write_table(struct writer *w, const struct sl_setting *table)
{
    for (const struct sl_setting *setting = table; setting->name; setting++) {
        open_map(w, setting->name);
        text(w, "description", setting->help);
        write_kind(w, setting);
        write_default(w, setting);
        close_map(w);
    }
}

/* others: names already written, each with quotes, like "\"type\"". */
static void write_required(struct writer *w, const struct sl_setting *const *tables,
                           const char *others)
{
    struct sl_buf all;
    sl_buf_init(&all);
    sl_buf_add_text(&all, others);
    for (; *tables; tables++)
        for (const struct sl_setting *setting = *tables; setting->name; setting++)
            if (setting->required)
                sl_buf_printf(&all, "%s\"%s\"", all.length ? ", " : "", setting->name);
    if (all.length)
        raw(w, "required", "[%s]", all.data);
    sl_buf_done(&all);
}

static void write_types(struct writer *w)
{
    open_map(w, "types");
    text(w, "description", "columns and their types; one that is not named here is a string");
    raw(w, "type", "\"object\"");
    write_choices(w, "additionalProperties", "", sl_type_names, "");
    close_map(w);
}

static void write_entities(struct writer *w)
{
    open_map(w, "entities");
    text(w, "description", "what to carry, by the source's names");
    raw(w, "type", "\"object\"");
    raw(w, "minProperties", "1");
    open_map(w, "additionalProperties");
    raw(w, "type", "\"object\"");
    open_map(w, "properties");
    write_table(w, sl_config_collection_table);
    write_table(w, sl_config_key_table);
    write_types(w);
    close_map(w);
    write_required(
        w,
        (const struct sl_setting *const[]){sl_config_collection_table, sl_config_key_table, NULL},
        "");
    raw(w, "additionalProperties", "false");
    close_map(w);
    close_map(w);
}

static void write_source(struct writer *w, const struct sl_config_type *type)
{
    text(w, "description", type->summary);
    open_map(w, "properties");
    raw(w, "type", "{\"const\": \"%s\"}", type->name);
    write_table(w, type->source_table);
    close_map(w);
    write_required(w, (const struct sl_setting *const[]){type->source_table, NULL}, "\"type\"");
    raw(w, "additionalProperties", "false");
}

static void write_feed(struct writer *w, const struct sl_config_type *type)
{
    text(w, "description", type->summary);
    open_map(w, "properties");
    raw(w, "source", "{\"type\": \"string\", \"description\": \"the name of the source\"}");
    write_table(w, type->feed_table);
    if (type->schedule_required)
        write_table(w, sl_config_schedule_table);
    bool one = type->entities == SL_ENTITIES_ONE, keyed = one && type->keyed;
    const struct sl_setting *tables[4] = {type->feed_table}, **table = &tables[1];
    if (one)
        write_table(w, *table++ = sl_config_collection_table);
    else
        write_entities(w);
    if (keyed) {
        write_table(w, *table++ = sl_config_key_table);
        write_types(w);
    }
    close_map(w);
    write_required(w, tables, one ? "\"source\"" : "\"source\", \"entities\"");
    raw(w, "additionalProperties", "false");
}

/* "sources" or "feeds": any number of names, each one of the types. */
static void write_map(struct writer *w, const struct sl_config_shape *shape, const char *name,
                      const char *help,
                      void (*write)(struct writer *, const struct sl_config_type *))
{
    open_map(w, name);
    text(w, "description", help);
    raw(w, "type", "\"object\"");
    raw(w, "minProperties", "1");
    raw(w, "propertyNames", "{\"pattern\": \"^[A-Za-z0-9_.-]{1,120}$\"}");
    open_map(w, "additionalProperties");
    key(w, "anyOf");
    fputc('[', w->out);
    for (const struct sl_config_type *const *type = shape->types; *type; type++) {
        fputs(type == shape->types ? "" : ", ", w->out);
        open_map(w, NULL);
        write(w, *type);
        close_map(w);
    }
    fputc(']', w->out);
    close_map(w);
    close_map(w);
}

void sl_config_schema(const struct sl_config_shape *shape, FILE *out)
{
    struct writer w = {.out = out};
    struct sl_buf required;
    sl_buf_init(&required);
    open_map(&w, NULL);
    text(&w, "$schema", "http://json-schema.org/draft-07/schema#");
    text(&w, "title", "The configuration of sluice");
    raw(&w, "type", "\"object\"");
    open_map(&w, "properties");
    raw(&w, "$schema", "{\"type\": \"string\"}");
    write_table(&w, sl_config_top_table);
    sl_buf_add_text(&required, "\"sources\", \"feeds\"");
    for (const struct sl_config_section *section = shape->sections; section->name; section++) {
        const struct sl_setting row[] = {
            {.name = section->name,
             .kind = SL_SET_SECTION,
             .help = section->help,
             .section = section->table},
            {0}
        };
        write_table(&w, row);
        if (section->required)
            sl_buf_printf(&required, ", \"%s\"", section->name);
    }
    write_map(&w, shape, "sources", "whom to ask: a name for each, and its settings", write_source);
    write_map(&w, shape, "feeds", "what to ask for: a name for each, and its settings", write_feed);
    close_map(&w);
    raw(&w, "required", "[%s]", required.data);
    raw(&w, "additionalProperties", "false");
    close_map(&w);
    fputc('\n', out);
    sl_buf_done(&required);
}
