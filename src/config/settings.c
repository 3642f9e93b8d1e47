#include "config/settings.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "config/value.h"

void *sl_setting_field(const struct sl_setting *setting, void *settings)
{
    return (char *)settings + setting->offset;
}

const char *sl_setting_kind_name(enum sl_setting_kind kind)
{
    static const char *const NAMES[] = {
        [SL_SET_TEXT] = "text",      [SL_SET_SECRET] = "secret", [SL_SET_URL] = "URL",
        [SL_SET_BOOL] = "bool",      [SL_SET_INT] = "number",    [SL_SET_DURATION] = "duration",
        [SL_SET_SIZE] = "size",      [SL_SET_CHOICE] = "choice", [SL_SET_LIST] = "list",
        [SL_SET_SECTION] = "object",
    };
    return NAMES[kind];
}

/* Writes a bound as the setting's kind is written. */
static void format_bound(const struct sl_setting *setting, int64_t value, char out[SL_VALUE_BYTES])
{
    if (setting->kind == SL_SET_DURATION)
        sl_duration_format((uint64_t)value, out);
    else if (setting->kind == SL_SET_SIZE)
        sl_size_format((uint64_t)value, out);
    else
        snprintf(out, SL_VALUE_BYTES, "%" PRId64, value);
}

static int check_bounds(const struct sl_setting *setting, int64_t value, struct sl_err *err)
{
    if ((!setting->minimum && !setting->maximum) ||
        (value >= setting->minimum && value <= setting->maximum))
        return SL_OK;
    char minimum[SL_VALUE_BYTES], maximum[SL_VALUE_BYTES];
    format_bound(setting, setting->minimum, minimum);
    format_bound(setting, setting->maximum, maximum);
    return sl_err_set(err, SL_CONFIG, "must be between %s and %s", minimum, maximum);
}

static int read_bool(bool *field, const char *text, struct sl_err *err)
{
    bool yes = !strcmp(text, "true");
    if (!yes && strcmp(text, "false") != 0)
        return sl_err_set(err, SL_CONFIG, "needs true or false");
    *field = yes;
    return SL_OK;
}

static int read_int(const struct sl_setting *setting, int64_t *field, const char *text,
                    struct sl_err *err)
{
    char *end;
    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    if (errno || end == text || *end || isspace((unsigned char)*text))
        return sl_err_set(err, SL_CONFIG, "needs a whole number");
    int rc = check_bounds(setting, value, err);
    if (rc == SL_OK)
        *field = value;
    return rc;
}

static int read_amount(const struct sl_setting *setting, uint64_t *field, const char *text,
                       struct sl_err *err)
{
    uint64_t value;
    if (setting->kind == SL_SET_DURATION) {
        if (!sl_duration_parse(text, &value))
            return sl_err_set(
                err, SL_CONFIG,
                "needs a duration such as \"500ms\", \"5s\", \"10m\", \"8h\" or \"7d\"");
    } else if (!sl_size_parse(text, &value)) {
        return sl_err_set(err, SL_CONFIG, "needs a size such as \"64KiB\", \"1MiB\" or \"5GB\"");
    }
    int rc = check_bounds(setting, (int64_t)value, err);
    if (rc == SL_OK)
        *field = value;
    return rc;
}

static int read_choice(const struct sl_setting *setting, int *field, const char *text,
                       struct sl_err *err)
{
    char all[160] = "";
    size_t used = 0;
    for (int i = 0; setting->choices[i]; i++) {
        if (!strcmp(setting->choices[i], text)) {
            *field = i;
            return SL_OK;
        }
        const char *joint = !i ? "" : setting->choices[i + 1] ? ", " : " or ";
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s\"%s\"", joint,
                                     *setting->choices[i] == '\t' ? "\\t" : setting->choices[i]);
    }
    return sl_err_set(err, SL_CONFIG, "must be %s", all);
}

/* Replaces an owned text; the old one may be a secret. */
static void replace(char **field, const char *text)
{
    if (*field)
        sl_wipe(*field, strlen(*field));
    free(*field);
    *field = text ? sl_strdup(text) : NULL;
}

static int read_text(const struct sl_setting *setting, char **field, const char *text,
                     struct sl_err *err)
{
    char wrong[160];
    if (setting->kind == SL_SET_URL && sl_url_check(text, setting->choices, wrong, sizeof wrong))
        return sl_err_set(err, SL_CONFIG, "%s", wrong);
    if ((setting->required || setting->required_for) && !*text)
        return sl_err_set(err, SL_CONFIG, "must not be empty");
    /* an empty secret is none: nobody shall pass by showing nothing */
    replace(field, setting->kind == SL_SET_SECRET && !*text ? NULL : text);
    return SL_OK;
}

static void free_list(char ***field)
{
    for (char **text = *field; text && *text; text++)
        free(*text);
    free(*field);
    *field = NULL;
}

void sl_setting_clear(const struct sl_setting *setting, void *settings)
{
    free_list(sl_setting_field(setting, settings));
}

void sl_setting_append(const struct sl_setting *setting, void *settings, const char *text)
{
    char ***field = sl_setting_field(setting, settings);
    size_t count = 0;
    while (*field && (*field)[count])
        count++;
    *field = sl_realloc(*field, (count + 2) * sizeof **field);
    (*field)[count] = sl_strdup(text);
    (*field)[count + 1] = NULL;
}

int sl_setting_read(const struct sl_setting *setting, void *settings, const char *text,
                    struct sl_err *err)
{
    void *field = sl_setting_field(setting, settings);
    switch (setting->kind) {
    case SL_SET_TEXT:
    case SL_SET_SECRET:
    case SL_SET_URL:
        return read_text(setting, field, text, err);
    case SL_SET_BOOL:
        return read_bool(field, text, err);
    case SL_SET_INT:
        return read_int(setting, field, text, err);
    case SL_SET_DURATION:
    case SL_SET_SIZE:
        return read_amount(setting, field, text, err);
    case SL_SET_CHOICE:
        return read_choice(setting, field, text, err);
    case SL_SET_LIST:
        free_list(field);
        sl_setting_append(setting, settings, text);
        return SL_OK;
    case SL_SET_SECTION:
        break;
    }
    return sl_err_set(err, SL_CONFIG, "needs an object {…}");
}

void sl_settings_default(const struct sl_setting *table, void *ret)
{
    for (const struct sl_setting *setting = table; setting->name; setting++) {
        struct sl_err err;
        if (setting->kind == SL_SET_SECTION) {
            sl_settings_default(setting->section, sl_setting_field(setting, ret));
        } else if (setting->fallback &&
                   sl_setting_read(setting, ret, setting->fallback, &err) != SL_OK) {
            fprintf(stderr, "the default of the setting \"%s\" %s\n", setting->name, err.message);
            abort();
        }
    }
}

void sl_settings_done(const struct sl_setting *table, void *settings)
{
    for (const struct sl_setting *setting = table; setting->name; setting++) {
        void *field = sl_setting_field(setting, settings);
        switch (setting->kind) {
        case SL_SET_TEXT:
        case SL_SET_SECRET:
        case SL_SET_URL:
            replace(field, NULL);
            break;
        case SL_SET_LIST:
            free_list(field);
            break;
        case SL_SET_SECTION:
            sl_settings_done(setting->section, field);
            break;
        default:
            break;
        }
    }
}
