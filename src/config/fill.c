#include "config/fill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "config/by_type.h"
#include "config/nearest.h"
#include "config/settings.h"
#include "config/substitute.h"
#include "config/value.h"

enum { SHOWN_BYTES = 40 };

/* A name that needs no quotes in a path. */
static bool is_plain(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c))
            return false;
    return *name;
}

static size_t add_path(const struct sl_path *path, char *out, size_t size)
{
    if (!path || !path->name)
        return 0;
    size_t used = add_path(path->parent, out, size);
    if (used >= size - 1)
        return used;
    int added = snprintf(out + used, size - used, is_plain(path->name) ? "%s%s" : "%s\"%s\"",
                         used ? "." : "", path->name);
    return used + (size_t)added < size ? used + (size_t)added : size - 1;
}

char *sl_path_text(const struct sl_path *path, char out[SL_PATH_BYTES])
{
    out[0] = '\0';
    add_path(path, out, SL_PATH_BYTES);
    return out;
}

/* " in feeds.vendors", or nothing at the top. */
static const char *in_path(const struct sl_path *where, char out[SL_PATH_BYTES + 4])
{
    char path[SL_PATH_BYTES];
    snprintf(out, SL_PATH_BYTES + 4, " in %s", sl_path_text(where, path));
    return *path ? out : "";
}

void sl_fill_missing(const struct sl_json *object, const struct sl_path *where, const char *key,
                     struct sl_problems *problems)
{
    char in[SL_PATH_BYTES + 4];
    sl_problem_error(problems, object->at.line, object->at.column, "missing key \"%s\"%s", key,
                     in_path(where, in));
}

bool sl_fill_expect_map(const struct sl_json *node, const struct sl_path *where,
                        struct sl_problems *problems)
{
    if (node->kind == SL_JSON_MAP)
        return true;
    char text[SL_PATH_BYTES];
    sl_path_text(where, text);
    sl_problem_error(problems, node->at.line, node->at.column, "%s needs an object {…}, not %s",
                     text[0] ? text : "the file", sl_json_kind_name(node->kind));
    return false;
}

/* Says what is wrong with a value; the value itself is shown when it cannot be a secret. */
static void complain(const struct sl_setting *setting, const struct sl_json *node,
                     const struct sl_path *where, bool outside, const char *what,
                     struct sl_problems *problems)
{
    char path[SL_PATH_BYTES], shown[SHOWN_BYTES + 32] = "";
    bool secret = setting->kind == SL_SET_SECRET || setting->kind == SL_SET_URL;
    sl_path_text(where, path);
    if (outside) {
        snprintf(shown, sizeof shown, " (its value comes from outside)");
    } else if (node->kind == SL_JSON_NUMBER && !secret) {
        snprintf(shown, sizeof shown, ", not %.*s", SHOWN_BYTES, node->text.at);
    } else if (node->kind == SL_JSON_TEXT && !secret && *node->text.at) {
        size_t length = sl_utf8_cut(node->text.at, node->text.length, SHOWN_BYTES);
        const char *more = length < node->text.length ? "…" : "";
        snprintf(shown, sizeof shown, ", not \"%.*s%s\"", (int)length, node->text.at, more);
    } else if (node->kind != SL_JSON_TEXT && node->kind != SL_JSON_NUMBER) {
        snprintf(shown, sizeof shown, ", not %s", sl_json_kind_name(node->kind));
    }
    sl_problem_error(problems, node->at.line, node->at.column, "%s %s%s", path, what, shown);
}

/* Which JSON may stand for a kind when nothing comes from outside; NULL: this one may. */
static const char *wrong_kind(enum sl_setting_kind kind, enum sl_json_kind json)
{
    switch (kind) {
    case SL_SET_BOOL:
        return json == SL_JSON_BOOL ? NULL : "needs true or false";
    case SL_SET_INT:
        return json == SL_JSON_NUMBER ? NULL : "needs a whole number";
    case SL_SET_SIZE:
        return json == SL_JSON_TEXT || json == SL_JSON_NUMBER
                   ? NULL
                   : "needs a size such as \"64KiB\", \"1MiB\" or \"5GB\"";
    case SL_SET_DURATION:
        return json == SL_JSON_TEXT
                   ? NULL
                   : "needs a duration such as \"500ms\", \"5s\", \"10m\", \"8h\" or \"7d\"";
    case SL_SET_LIST:
        return json == SL_JSON_TEXT ? NULL : "needs texts";
    default:
        return json == SL_JSON_TEXT ? NULL : "needs a text";
    }
}

/* A secret read from a file that others may read is worth a word. */
static void warn_exposed(const struct sl_setting *setting, const struct sl_json *node,
                         const struct sl_path *where, const char *doubt,
                         struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    if (!*doubt || (setting->kind != SL_SET_SECRET && setting->kind != SL_SET_URL))
        return;
    sl_problem_warning(problems, node->at.line, node->at.column, "%s: %s",
                       sl_path_text(where, path), doubt);
}

/* Of a text as it is written in the file; outside: parts of it come from elsewhere. A URL's
 * password is one whatever the setting is, but for RabbitMQ's default, which everybody knows. */
static bool is_secret(const struct sl_setting *setting, const char *text, bool outside)
{
    if (!outside && (setting->kind == SL_SET_SECRET || setting->secret))
        return *text;
    const char *password = sl_url_password(text);
    return password && (!outside || *password != '$') && !strstr(text, "://guest:guest@");
}

/* The file itself is then one that others should not read. */
static void note_secret(const struct sl_json *node, struct sl_problems *problems)
{
    if (problems->secret_line)
        return;
    problems->secret_line = node->at.line;
    problems->secret_column = node->at.column;
}

/* Writes the value as text, with its substitutions, to out. False after a complaint. */
static bool expand(const struct sl_setting *setting, const struct sl_json *node,
                   const struct sl_path *where, struct sl_buf *out, bool *ret_outside,
                   struct sl_problems *problems)
{
    struct sl_err err;
    struct sl_substituted substituted = {0};
    if (node->kind == SL_JSON_TEXT && strlen(node->text.at) != node->text.length) {
        char path[SL_PATH_BYTES];
        sl_problem_error(problems, node->at.line, node->at.column, "%s must not hold a NUL",
                         sl_path_text(where, path));
        return false;
    }
    if (node->kind == SL_JSON_TEXT && sl_substitute(node->text, out, &substituted, &err) != SL_OK) {
        char path[SL_PATH_BYTES];
        sl_problem_error(problems, node->at.line, node->at.column, "%s: %s",
                         sl_path_text(where, path), err.message);
        return false;
    }
    *ret_outside = substituted.outside;
    if (node->kind == SL_JSON_TEXT && is_secret(setting, node->text.at, substituted.outside))
        note_secret(node, problems);
    const char *wrong = wrong_kind(setting->kind, node->kind);
    if (wrong && !substituted.outside) {
        complain(setting, node, where, false, wrong, problems);
        return false;
    }
    if (node->kind == SL_JSON_BOOL)
        sl_buf_add_text(out, node->truth ? "true" : "false");
    else if (node->kind == SL_JSON_NUMBER)
        sl_buf_add(out, node->text.at, node->text.length);
    warn_exposed(setting, node, where, substituted.doubt, problems);
    return true;
}

/* Reads one scalar into its field, or one text behind a list's others. */
static void read_scalar(const struct sl_setting *setting, const struct sl_json *node,
                        const struct sl_path *where, void *settings, struct sl_problems *problems)
{
    struct sl_buf text;
    struct sl_err err;
    bool outside;
    sl_buf_init_secret(&text); /* it may be one */
    if (expand(setting, node, where, &text, &outside, problems)) {
        if (setting->kind == SL_SET_LIST)
            sl_setting_append(setting, settings, text.data);
        else if (sl_setting_read(setting, settings, text.data, &err) != SL_OK)
            complain(setting, node, where, outside, err.message, problems);
    }
    sl_buf_done(&text);
}

static void fill_object(const struct sl_json *object, const struct sl_path *where,
                        const struct sl_part *parts, const char *const *others,
                        struct sl_problems *problems);

static void read_value(const struct sl_setting *setting, const struct sl_json *node,
                       const struct sl_path *parent, void *settings, struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    struct sl_path where = {parent, setting->name};
    if (setting->kind == SL_SET_SECTION) {
        struct sl_part parts[] = {
            {setting->section, sl_setting_field(setting, settings)},
            {NULL,                NULL                                    }
        };
        fill_object(node, &where, parts, NULL, problems);
    } else if (setting->kind == SL_SET_LIST) {
        sl_setting_clear(setting, settings); /* its default */
        bool many = node->kind == SL_JSON_LIST;
        for (const struct sl_json *item = many ? node->first : node; item;
             item = many ? item->next : NULL)
            read_scalar(setting, item, &where, settings, problems);
        if (setting->required && many && !node->count)
            sl_problem_error(problems, node->at.line, node->at.column, "%s must not be empty",
                             sl_path_text(&where, path));
    } else {
        read_scalar(setting, node, &where, settings, problems);
    }
}

static void unknown_key(const struct sl_json *member, const struct sl_path *where,
                        const struct sl_part *parts, const char *const *others,
                        struct sl_problems *problems)
{
    char in[SL_PATH_BYTES + 4], hint[160];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, member->key.at);
    for (; parts->table; parts++)
        for (const struct sl_setting *setting = parts->table; setting->name; setting++)
            sl_nearest_offer(&nearest, setting->name);
    for (; others && *others; others++)
        sl_nearest_offer(&nearest, *others);
    sl_problem_error(problems, member->key_at.line, member->key_at.column,
                     "unknown key \"%.80s\"%s%s", member->key.at, in_path(where, in),
                     sl_nearest_hint(&nearest, hint, sizeof hint));
}

static void read_member(const struct sl_json *member, const struct sl_path *where,
                        const struct sl_part *parts, const char *const *others,
                        struct sl_problems *problems)
{
    for (const struct sl_part *part = parts; part->table; part++)
        for (const struct sl_setting *setting = part->table; setting->name; setting++)
            if (sl_str_is(member->key, setting->name)) {
                read_value(setting, member, where, part->settings, problems);
                return;
            }
    for (const char *const *other = others; other && *other; other++)
        if (sl_str_is(member->key, *other))
            return;
    unknown_key(member, where, parts, others, problems);
}

static void fill_object(const struct sl_json *object, const struct sl_path *where,
                        const struct sl_part *parts, const char *const *others,
                        struct sl_problems *problems)
{
    if (!sl_fill_expect_map(object, where, problems))
        return;
    bool type_known = true;
    for (const struct sl_json *member = object->first; member; member = member->next) {
        unsigned errors = problems->errors;
        read_member(member, where, parts, others, problems);
        if (sl_str_is(member->key, SL_BY_TYPE) && problems->errors != errors)
            type_known = false;
    }
    for (; parts->table; parts++) {
        for (const struct sl_setting *setting = parts->table; setting->name; setting++)
            if (setting->required && !sl_json_get(object, setting->name))
                sl_fill_missing(object, where, setting->name, problems);
        if (type_known)
            sl_by_type_check(object, where, parts, problems);
    }
}

void sl_fill(const struct sl_json *object, const struct sl_path *where, const struct sl_part *parts,
             const char *const *others, struct sl_problems *problems)
{
    for (const struct sl_part *part = parts; part->table; part++)
        sl_settings_default(part->table, part->settings);
    fill_object(object, where, parts, others, problems);
}
