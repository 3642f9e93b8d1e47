/* Data projects: reading a definition, and the watermarks of change tracking. */
#include "sim/project.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sim/json.h"

struct sim_project *sim_project_find(struct sim_projects *projects, const char *name)
{
    for (size_t i = 0; i < projects->count; i++)
        if (strcasecmp(projects->items[i]->name, name) == 0)
            return projects->items[i];
    return NULL;
}

/* The place of word in a list of names; -1 when it is not there. */
static int find_name(const char *const *names, const char *word)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return -1;
}

static bool read_choice(yajl_val object, const char *member, const char *const *names,
                        int *ret_choice, char *problem, size_t size)
{
    const char *word = sim_json_string(object, member, NULL);
    if (!word)
        return true;
    int choice = find_name(names, word);
    if (choice < 0) {
        snprintf(problem, size, "format: %s cannot be '%s'", member, word);
        return false;
    }
    *ret_choice = choice;
    return true;
}

static bool read_format(yajl_val json, struct sim_format *ret_format, char *problem, size_t size)
{
    static const char *const header_cases[] = {"asis", "upper", NULL};
    static const char *const quotes[] = {"needed", "all", NULL};
    int encoding = ENCODING_UTF8;
    int newline = NEWLINE_CRLF;
    int header_case = 0;
    int quote = 0;
    if (json && (!read_choice(json, "encoding", sim_encoding_names, &encoding, problem, size) ||
                 !read_choice(json, "newline", sim_newline_names, &newline, problem, size) ||
                 !read_choice(json, "header_case", header_cases, &header_case, problem, size) ||
                 !read_choice(json, "quote", quotes, &quote, problem, size)))
        return false;
    const char *delimiter = json ? sim_json_string(json, "delimiter", ",") : ",";
    if (strlen(delimiter) != 1 || strchr("\"\r\n", delimiter[0])) {
        snprintf(problem, size, "format: delimiter is one ASCII character");
        return false;
    }
    *ret_format = (struct sim_format){
        .encoding = (enum sim_encoding)encoding,
        .newline = (enum sim_newline)newline,
        .header_upper = header_case == 1,
        .quote_all = quote == 1,
        .delimiter = delimiter[0],
    };
    return true;
}

/* The file's name is the label without the characters that no file may have, and .csv. */
static void default_file(const char *label, char *out, size_t size)
{
    size_t len = 0;
    for (; *label && len + 5 < size; label++)
        if (!strchr("\\/:*?\"<>|", *label))
            out[len++] = *label;
    snprintf(out + len, size - len, ".csv");
}

static bool read_entity(yajl_val json, struct sim_project *project, char *problem, size_t size)
{
    const char *label =
        YAJL_IS_STRING(json) ? YAJL_GET_STRING(json) : sim_json_string(json, "entity", "");
    const struct sim_entity *entity = sim_entity_find(label);
    if (!entity) {
        snprintf(problem, size, "there is no entity '%s'; GET /_sim/entities lists them", label);
        return false;
    }
    if (project->entity_count == SIM_PROJECT_ENTITIES_MAX) {
        snprintf(problem, size, "more than %d entities", SIM_PROJECT_ENTITIES_MAX);
        return false;
    }
    struct sim_project_entity *slot = &project->entities[project->entity_count++];
    slot->entity = entity;
    const char *file = sim_json_string(json, "file", NULL);
    if (file)
        sim_copy(slot->file, sizeof(slot->file), file);
    else
        default_file(entity->label, slot->file, sizeof(slot->file));
    return true;
}

static bool read_definition(yajl_val json, struct sim_project *project, char *problem, size_t size)
{
    const char *name = sim_json_string(json, "name", "");
    const char *mode = sim_json_string(json, "mode", "incremental");
    const char *operation = sim_json_string(json, "operation", "export");
    yajl_val entities = sim_json_member(json, "entities");
    if (!*name || strlen(name) >= SIM_NAME_SIZE) {
        snprintf(problem, size, "a project needs a name of at most %d bytes", SIM_NAME_SIZE - 1);
        return false;
    }
    if (strcmp(mode, "incremental") != 0 && strcmp(mode, "full") != 0) {
        snprintf(problem, size, "mode is incremental or full, not '%s'", mode);
        return false;
    }
    if (strcmp(operation, "export") != 0 && strcmp(operation, "import") != 0) {
        snprintf(problem, size, "operation is export or import, not '%s'", operation);
        return false;
    }
    if (!YAJL_IS_ARRAY(entities) || entities->u.array.len == 0) {
        snprintf(problem, size, "entities must be a list of labels");
        return false;
    }
    sim_copy(project->name, sizeof(project->name), name);
    sim_copy(project->company, sizeof(project->company), sim_json_string(json, "company", "USMF"));
    project->incremental = strcmp(mode, "incremental") == 0;
    project->imports = strcmp(operation, "import") == 0;
    for (size_t i = 0; i < entities->u.array.len; i++)
        if (!read_entity(entities->u.array.values[i], project, problem, size))
            return false;
    return read_format(sim_json_member(json, "format"), &project->format, problem, size);
}

struct sim_project *sim_project_define(struct sim_projects *projects, yajl_val definition,
                                       char *problem, size_t size)
{
    struct sim_project *project = sim_alloc(sizeof(*project));
    if (!read_definition(definition, project, problem, size)) {
        free(project);
        return NULL;
    }
    struct sim_project *old = sim_project_find(projects, project->name);
    if (old) {
        free(old->watermarks);
        *old = *project;
        free(project);
        return old;
    }
    projects->items =
        sim_realloc(projects->items, (projects->count + 1) * sizeof(struct sim_project *));
    projects->items[projects->count++] = project;
    return project;
}

static struct sim_watermark *find_watermark(const struct sim_project *project,
                                            const struct sim_entity *entity, const char *company)
{
    for (size_t i = 0; i < project->watermark_count; i++) {
        struct sim_watermark *mark = &project->watermarks[i];
        if (mark->entity == entity && strcmp(mark->company, company) == 0)
            return mark;
    }
    return NULL;
}

uint32_t sim_project_watermark(const struct sim_project *project, const struct sim_entity *entity,
                               const char *company)
{
    const struct sim_watermark *mark = find_watermark(project, entity, company);
    return mark ? mark->clock : 0;
}

void sim_project_move_watermark(struct sim_project *project, const struct sim_entity *entity,
                                const char *company, uint32_t clock)
{
    struct sim_watermark *mark = find_watermark(project, entity, company);
    if (!mark) {
        project->watermarks = sim_realloc(project->watermarks, (project->watermark_count + 1) *
                                                                   sizeof(struct sim_watermark));
        mark = &project->watermarks[project->watermark_count++];
        *mark = (struct sim_watermark){.entity = entity};
        sim_copy(mark->company, sizeof(mark->company), company);
    }
    mark->clock = clock;
}

void sim_project_describe(const struct sim_project *project, struct sim_text *out)
{
    const struct sim_format *format = &project->format;
    sim_text_char(out, '{');
    sim_text_member(out, "name", project->name);
    sim_text_member(out, "company", project->company);
    sim_text_member(out, "mode", project->incremental ? "incremental" : "full");
    sim_text_member(out, "operation", project->imports ? "import" : "export");
    sim_text_name(out, "entities");
    sim_text_char(out, '[');
    for (size_t i = 0; i < project->entity_count; i++) {
        sim_text_puts(out, i ? ",{" : "{");
        sim_text_member(out, "entity", project->entities[i].entity->label);
        sim_text_member(out, "file", project->entities[i].file);
        sim_text_char(out, '}');
    }
    sim_text_char(out, ']');
    sim_text_name(out, "format");
    sim_text_char(out, '{');
    sim_text_member(out, "encoding", sim_encoding_names[format->encoding]);
    sim_text_member(out, "newline", sim_newline_names[format->newline]);
    sim_text_member(out, "header_case", format->header_upper ? "upper" : "asis");
    sim_text_member(out, "quote", format->quote_all ? "all" : "needed");
    sim_text_member(out, "delimiter", (char[]){format->delimiter, '\0'});
    sim_text_puts(out, "}}");
}

void sim_projects_clear(struct sim_projects *projects)
{
    for (size_t i = 0; i < projects->count; i++) {
        free(projects->items[i]->watermarks);
        free(projects->items[i]);
    }
    free(projects->items);
    *projects = (struct sim_projects){0};
}
