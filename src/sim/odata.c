/* The entity sets. Sources: "Open Data Protocol (OData)" of Microsoft's documentation: $filter,
 * where a '*' fits any text, $select, cross-company; the members as clients know them that were
 * generated from an environment's $metadata. Everything but `member eq 'literal'` is refused:
 * nobody here needs more, and a literal that was escaped wrongly must not go through. */
#include "sim/odata.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX "/data/"

enum { MEMBERS = 2, LITERAL_SIZE = 512 };

struct rows {
    const char *(*values)[MEMBERS]; /* borrowed texts */
    size_t count;
};

struct sim_entity_set {
    const char *name;
    const char *members[MEMBERS];
    bool companies; /* without cross-company it tells of the caller's own one alone */
    void (*list)(const struct sim *sim, struct rows *rows);
};

/* What a request asks for. */
struct query {
    const struct sim_entity_set *set;
    bool selected[MEMBERS];
    int filtered; /* the member, -1: none */
    char literal[LITERAL_SIZE];
    bool cross_company;
    bool malformed;
};

/* --- rows --- */

static void add(struct rows *rows, const char *one, const char *other)
{
    rows->values = sim_realloc(rows->values, (rows->count + 1) * sizeof(*rows->values));
    rows->values[rows->count][0] = one;
    rows->values[rows->count++][1] = other;
}

static void list_projects(const struct sim *sim, struct rows *rows)
{
    for (size_t i = 0; i < sim->projects.count; i++) {
        const struct sim_project *project = sim->projects.items[i];
        add(rows, project->name, project->imports ? "Import" : "Export");
    }
}

static void list_details(const struct sim *sim, struct rows *rows)
{
    for (size_t i = 0; i < sim->projects.count; i++) {
        const struct sim_project *project = sim->projects.items[i];
        for (size_t j = 0; j < project->entity_count; j++)
            add(rows, project->name, project->entities[j].entity->label);
    }
}

static void add_company(struct rows *rows, const char *company)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcasecmp(rows->values[i][0], company) == 0)
            return;
    add(rows, company, "Contoso");
}

/* DAT is always there, and the default company of the caller. */
static void list_companies(const struct sim *sim, struct rows *rows)
{
    add_company(rows, "dat");
    for (size_t i = 0; i < sim->store.table_count; i++)
        add_company(rows, sim->store.tables[i]->company);
    for (size_t i = 0; i < sim->projects.count; i++)
        add_company(rows, sim->projects.items[i]->company);
}

static const struct sim_entity_set sets[] = {
    {"DataManagementDefinitionGroups",       {"Name", "OperationType"},        false, list_projects },
    {"DataManagementDefinitionGroupDetails",
     {"DefinitionGroupId", "EntityName"},
     false,                                                                           list_details  },
    {"LegalEntities",                        {"LegalEntityId", "CompanyName"}, true,  list_companies},
};

const struct sim_entity_set *sim_odata_find(const char *path)
{
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (strncmp(path, PREFIX, strlen(PREFIX)) == 0 &&
            strcmp(path + strlen(PREFIX), sets[i].name) == 0)
            return &sets[i];
    return NULL;
}

const char *sim_odata_name(const struct sim_entity_set *set)
{
    return set->name;
}

/* --- the query --- */

static int find_member(const struct sim_entity_set *set, const char *name, size_t len)
{
    for (int i = 0; i < MEMBERS; i++)
        if (strlen(set->members[i]) == len && strncmp(set->members[i], name, len) == 0)
            return i;
    return -1;
}

static bool read_select(struct query *query, const char *value)
{
    for (;;) {
        size_t len = strcspn(value, ",");
        int member = find_member(query->set, value, len);
        if (member < 0)
            return false;
        query->selected[member] = true;
        if (!value[len])
            return true;
        value += len + 1;
    }
}

/* member eq 'literal', where '' is a quote. */
static bool read_filter(struct query *query, const char *value)
{
    static const char eq[] = " eq '";
    size_t len = strcspn(value, " "), out = 0;
    bool closed = false;
    query->filtered = find_member(query->set, value, len);
    value += len;
    if (query->filtered < 0 || strncmp(value, eq, strlen(eq)) != 0)
        return false;
    for (value += strlen(eq); !closed && *value && out + 1 < sizeof(query->literal); value++) {
        closed = value[0] == '\'' && value[1] != '\'';
        value += value[0] == '\'' && value[1] == '\'';
        if (!closed)
            query->literal[out++] = *value;
    }
    return closed && !*value;
}

static enum MHD_Result read_option(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct query *query = cls;
    (void)kind;
    bool right = false;
    if (value && strcmp(name, "$select") == 0)
        right = read_select(query, value);
    else if (value && strcmp(name, "$filter") == 0)
        right = read_filter(query, value);
    else if (value && strcmp(name, "cross-company") == 0)
        right = query->cross_company = strcasecmp(value, "true") == 0;
    query->malformed |= !right;
    return MHD_YES;
}

/* Without regard to the case of ASCII letters, as the database compares. */
static bool matches(const char *pattern, const char *text)
{
    for (; *pattern && *pattern != '*'; pattern++, text++)
        if (tolower((unsigned char)*pattern) != tolower((unsigned char)*text))
            return false;
    if (!*pattern)
        return !*text;
    do {
        if (matches(pattern + 1, text))
            return true;
    } while (*text++);
    return false;
}

/* --- the answer --- */

static unsigned refuse(struct sim_text *out, unsigned status, const char *message)
{
    sim_text_puts(out, "{\"error\":{");
    sim_text_member(out, "code", "");
    sim_text_member(out, "message", message);
    sim_text_puts(out, "}}");
    return status;
}

static void write_rows(const struct query *query, const struct rows *rows, struct sim_text *out)
{
    for (size_t i = 0; i < rows->count; i++) {
        const char *const *values = rows->values[i];
        if (query->set->companies && !query->cross_company && i > 0)
            break;
        if (query->filtered >= 0 && !matches(query->literal, values[query->filtered]))
            continue;
        if (out->data[out->len - 1] != '[')
            sim_text_char(out, ',');
        sim_text_char(out, '{');
        sim_text_member(out, "@odata.etag", "W/\"JzEsNTYzNzE0NDU3Nic=\"");
        for (int j = 0; j < MEMBERS; j++)
            if (query->selected[j])
                sim_text_member(out, query->set->members[j], values[j]);
        sim_text_char(out, '}');
    }
}

unsigned sim_odata_answer(const struct sim_request *request, const struct sim_entity_set *set,
                          struct sim_text *out)
{
    struct sim_switch_view view = sim_switch_view(request->sim, NULL);
    if (strstr(sim_switch_text(view, SW_SETS_ABSENT), set->name))
        return 404;
    if (strstr(sim_switch_text(view, SW_SETS_FORBIDDEN), set->name))
        return refuse(out, 403, "Access denied to the entity.");

    struct query query = {.set = set, .filtered = -1};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, read_option, &query);
    if (query.malformed)
        return refuse(out, 400, "An error has occurred: the query is not valid.");
    if (!query.selected[0] && !query.selected[1])
        query.selected[0] = query.selected[1] = true;

    struct rows rows = {0};
    set->list(request->sim, &rows);
    sim_text_printf(out, "{\"@odata.context\":\"http://%s/data/$metadata#%s\",\"value\":[",
                    request->sim->authority, set->name);
    write_rows(&query, &rows, out);
    sim_text_puts(out, "]}");
    free(rows.values);
    return 200;
}
