#include "dmf/lookup.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "http/url.h"

void sl_dmf_names_done(struct sl_dmf_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i]);
    free(names->at);
    *names = (struct sl_dmf_names){0};
}

bool sl_dmf_names_have(const struct sl_dmf_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (!strcasecmp(names->at[i], name))
            return true;
    return false;
}

void sl_dmf_add_literal(struct sl_buf *query, const char *text)
{
    struct sl_buf literal;
    sl_buf_init(&literal);
    sl_buf_add_char(&literal, '\'');
    for (; *text; text++) {
        sl_buf_add_char(&literal, *text);
        if (*text == '\'')
            sl_buf_add_char(&literal, '\'');
    }
    sl_buf_add_char(&literal, '\'');
    sl_url_escape(query, literal.data);
    sl_buf_done(&literal);
}

/* The service compares, and knows better than we which letters are alike; but to it a '*' is any
 * text, and then we do. */
static bool fits(const struct sl_dmf_wanted *wanted, const struct sl_json *row)
{
    if (!wanted->where || !strchr(wanted->is, '*'))
        return true;
    const char *value = sl_json_text(sl_json_get(row, wanted->where));
    return value && !strcasecmp(value, wanted->is);
}

int sl_dmf_names_take(const struct sl_dmf_wanted *wanted, const struct sl_json *answer,
                      struct sl_dmf_names *ret, struct sl_err *err)
{
    const struct sl_json *rows = sl_json_get(answer, "value");
    if (!rows || rows->kind != SL_JSON_LIST)
        return sl_err_set(err, SL_CLOSED, "%s: the answer has no list \"value\"", wanted->set);
    if (sl_json_get(answer, "@odata.nextLink"))
        return sl_err_set(err, SL_REJECTED, "%s: the answer is longer than a page", wanted->set);

    struct sl_dmf_names names = {.at = sl_calloc(rows->count + 1, sizeof *names.at)};
    for (const struct sl_json *row = rows->first; row; row = row->next) {
        const char *name = sl_json_text(sl_json_get(row, wanted->member));
        if (!name) {
            sl_dmf_names_done(&names);
            return sl_err_set(err, SL_CLOSED, "%s: a row of the answer has no \"%s\"", wanted->set,
                              wanted->member);
        }
        if (fits(wanted, row))
            names.at[names.count++] = sl_strdup(name);
    }
    *ret = names;
    return SL_OK;
}

static int look_up(struct sl_dmf_remote *remote, const struct sl_dmf_wanted *wanted,
                   struct sl_dmf_names *ret, struct sl_err *err)
{
    struct sl_json_doc *doc = NULL;
    struct sl_buf query;
    sl_buf_init(&query);
    if (wanted->where) {
        sl_buf_printf(&query, "$filter=%s%%20eq%%20", wanted->where);
        sl_dmf_add_literal(&query, wanted->is);
        sl_buf_printf(&query, "&$select=%s,%s", wanted->where, wanted->member);
    } else {
        sl_buf_printf(&query, "cross-company=true&$select=%s", wanted->member);
    }
    int rc = sl_dmf_read(remote, wanted->set, query.data, &doc, err);
    sl_buf_done(&query);
    if (rc != SL_OK)
        return rc;
    rc = sl_dmf_names_take(wanted, sl_json_root(doc), ret, err);
    sl_json_free(doc);
    return rc;
}

int sl_dmf_project_kinds(struct sl_dmf_remote *remote, const char *project,
                         struct sl_dmf_names *ret, struct sl_err *err)
{
    const struct sl_dmf_wanted wanted = {.set = "DataManagementDefinitionGroups",
                                         .member = "OperationType",
                                         .where = "Name",
                                         .is = project};
    return look_up(remote, &wanted, ret, err);
}

int sl_dmf_project_entities(struct sl_dmf_remote *remote, const char *project,
                            struct sl_dmf_names *ret, struct sl_err *err)
{
    const struct sl_dmf_wanted wanted = {.set = "DataManagementDefinitionGroupDetails",
                                         .member = "EntityName",
                                         .where = "DefinitionGroupId",
                                         .is = project};
    return look_up(remote, &wanted, ret, err);
}

int sl_dmf_companies(struct sl_dmf_remote *remote, struct sl_dmf_names *ret, struct sl_err *err)
{
    const struct sl_dmf_wanted wanted = {.set = "LegalEntities", .member = "LegalEntityId"};
    return look_up(remote, &wanted, ret, err);
}
