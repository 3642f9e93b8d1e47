#include "config/by_type.h"

#include <string.h>

#include "config/settings.h"

const struct sl_setting *sl_by_type_row(const struct sl_setting *table)
{
    for (; table->name; table++)
        if (table->kind == SL_SET_CHOICE && !strcmp(table->name, SL_BY_TYPE))
            return table;
    return NULL;
}

void sl_by_type_names(const struct sl_setting *type, uint32_t types, struct sl_buf *out)
{
    bool some = false;
    for (int i = 0; type->choices[i]; i++) {
        if (!(types & SL_TYPE(i)))
            continue;
        sl_buf_printf(out, "%s%s", some ? ", " : "", type->choices[i]);
        some = true;
    }
}

/* "needs tenant and client_id", of the rows that are required; "needs nothing else". */
static void add_needs(const struct sl_setting *table, uint32_t type, struct sl_buf *out)
{
    size_t count = 0, at = 0;
    for (const struct sl_setting *setting = table; setting->name; setting++)
        count += (setting->required_for & type) != 0;
    sl_buf_add_text(out, count ? "needs " : "needs nothing else");
    for (const struct sl_setting *setting = table; setting->name; setting++) {
        if (!(setting->required_for & type))
            continue;
        at++;
        sl_buf_printf(out, "%s%s", at == 1 ? "" : at == count ? " and " : ", ", setting->name);
    }
}

void sl_by_type_check(const struct sl_json *object, const struct sl_path *where,
                      const struct sl_part *part, struct sl_problems *problems)
{
    const struct sl_setting *row = sl_by_type_row(part->table);
    if (!row)
        return;
    int chosen = *(int *)sl_setting_field(row, part->settings);
    uint32_t type = SL_TYPE(chosen);
    char path[SL_PATH_BYTES];
    struct sl_buf needs;
    sl_buf_init(&needs);
    add_needs(part->table, type, &needs);
    sl_path_text(where, path);
    for (const struct sl_setting *setting = part->table; setting->name; setting++) {
        const struct sl_json *said = sl_json_get(object, setting->name);
        if (said && setting->only_for && !(setting->only_for & type))
            sl_problem_error(problems, said->key_at.line, said->key_at.column,
                             "%s.%s is not for type \"%s\", which %s", path, setting->name,
                             row->choices[chosen], needs.data);
        else if (!said && (setting->required_for & type))
            sl_problem_error(problems, object->at.line, object->at.column,
                             "missing key \"%s\" in %s: type \"%s\" %s", setting->name, path,
                             row->choices[chosen], needs.data);
    }
    sl_buf_done(&needs);
}
