/* `sluice help config`: every setting, from the same tables that read the file. */
#include "config/shape.h"

#include <string.h>

#include "base/str.h"
#include "config/by_type.h"
#include "config/reader.h"
#include "config/settings.h"
#include "config/value.h"

enum { NAME_WIDTH = 24, KIND_WIDTH = 26, TEXT_WIDTH = 100 };

/* As it is printed, line by line. */
// clang-format off
static const char INTRODUCTION[] =
    "The configuration is JSON with comments. In every text value ${NAME} stands for an\n"
    "environment variable, ${file:/path} for a file without its last line end, $$ for a dollar\n"
    "sign. Durations are written like \"500ms\", \"5s\", \"10m\", \"8h\", \"7d\", sizes like \"64KiB\",\n"
    "\"1MiB\", \"5GB\". Behind the kind of each setting stands its default.\n"
    "\n";
// clang-format on

/* Prints text, broken between words, its further lines indented. */
static void print_wrapped(const char *text, int indent, FILE *out)
{
    int column = indent;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column + word > TEXT_WIDTH && column > indent) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

/* Adds a choice, in quotes unless it is a word. */
static void add_choice(const char *choice, char *out, size_t size)
{
    bool word = *choice >= 'a' && *choice <= 'z';
    snprintf(out, size, word ? "%s" : "\"%s\"", *choice == '\t' ? "\\t" : choice);
}

/* "duration, 5m", "text, required", "quorum | classic". */
static void describe(const struct sl_setting *setting, char *out, size_t size)
{
    char choice[40];
    size_t used = 0;
    out[0] = '\0';
    if (setting->kind == SL_SET_CHOICE)
        for (size_t i = 0; setting->choices[i] && used < size; i++) {
            add_choice(setting->choices[i], choice, sizeof choice);
            used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "|" : "", choice);
        }
    else
        used = (size_t)snprintf(out, size, "%s", sl_setting_kind_name(setting->kind));
    if (used >= size)
        return;
    if (setting->kind == SL_SET_CHOICE && setting->fallback) {
        add_choice(setting->fallback, choice, sizeof choice);
        snprintf(out + used, size - used, ", %s", choice);
    } else if (setting->required) {
        snprintf(out + used, size - used, ", required");
    } else if (setting->fallback) {
        snprintf(out + used, size - used, ", %s", *setting->fallback ? setting->fallback : "\"\"");
    }
}

static void print_line(const char *name, const char *kind, const char *help, int depth, FILE *out)
{
    int indent = 2 * depth, column = NAME_WIDTH + KIND_WIDTH + 2;
    int used = fprintf(out, "%*s%-*s %s", indent, "", NAME_WIDTH - indent, name, kind);
    if (used < column)
        fprintf(out, "%*s", column - used, "");
    else
        fprintf(out, "\n%*s", column, "");
    print_wrapped(help, column, out);
}

/* The sentence of a setting, and for which types it is (type: the row; NULL: none). */
static void add_help(const struct sl_setting *setting, const struct sl_setting *type,
                     struct sl_buf *out)
{
    sl_buf_add_text(out, setting->help);
    if (!type || (!setting->only_for && !setting->required_for))
        return;
    uint32_t free_of_it = setting->only_for & ~setting->required_for;
    if (setting->required_for) {
        sl_buf_add_text(out, "; needed by ");
        sl_by_type_names(type, setting->required_for, out);
    }
    if (free_of_it) {
        sl_buf_add_text(out, setting->required_for ? ", may be said for " : "; for ");
        sl_by_type_names(type, free_of_it, out);
    }
}

static void print_table(const struct sl_setting *table, int depth, FILE *out)
{
    char kind[120];
    const struct sl_setting *type = sl_by_type_row(table);
    for (const struct sl_setting *setting = table; setting->name; setting++) {
        struct sl_buf help;
        sl_buf_init(&help);
        describe(setting, kind, sizeof kind);
        add_help(setting, type, &help);
        print_line(setting->name, kind, help.data, depth, out);
        sl_buf_done(&help);
        if (setting->kind == SL_SET_SECTION)
            print_table(setting->section, depth + 1, out);
    }
}

/* What is said of an entity, in an object of its own or in the feed's. */
static void print_entity(bool keyed, int depth, FILE *out)
{
    print_table(sl_config_collection_table, depth, out);
    if (!keyed)
        return;
    print_table(sl_config_key_table, depth, out);
    print_line("types", "object",
               "columns and their types: string (the default), int, decimal, double, bool or date",
               depth, out);
}

static void print_type(const struct sl_config_type *type, FILE *out)
{
    fprintf(out, "\nA source of type \"%s\": %s\n", type->name, type->summary);
    print_line("type", "text, required", type->name, 1, out);
    print_table(type->source_table, 1, out);
    fprintf(out, "\nA feed of such a source\n");
    print_line("source", "text, required", "the name of the source", 1, out);
    print_table(type->feed_table, 1, out);
    if (type->schedule_required)
        print_table(sl_config_schedule_table, 1, out);
    if (type->entities == SL_ENTITIES_LISTED) {
        print_line("entities", "object, required", "what to carry, by the source's names", 1, out);
        print_line("NAME", "object", "an entity, such as \"Vendors V3\"", 2, out);
    }
    print_entity(type->entities == SL_ENTITIES_LISTED || type->keyed,
                 type->entities == SL_ENTITIES_LISTED ? 3 : 1, out);
}

void sl_config_help(const struct sl_config_shape *shape, FILE *out)
{
    fputs(INTRODUCTION, out);
    print_table(sl_config_top_table, 0, out);
    for (const struct sl_config_section *section = shape->sections; section->name; section++) {
        fputc('\n', out);
        print_line(section->name, section->required ? "object, required" : "object", section->help,
                   0, out);
        print_table(section->table, 1, out);
    }
    fputc('\n', out);
    print_line("sources", "object, required", "whom to ask: a name for each, and its settings", 0,
               out);
    print_line("feeds", "object, required", "what to ask for: a name for each, and its settings", 0,
               out);
    for (const struct sl_config_type *const *type = shape->types; *type; type++)
        print_type(*type, out);
}
