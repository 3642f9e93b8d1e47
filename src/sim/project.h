/* Data projects (definition groups): what an export of each holds, for which company, in which
 * format, and how far its change tracking has come. The simulator's lock is held for all calls. */
#ifndef SIM_PROJECT_H
#define SIM_PROJECT_H

#include <yajl/yajl_tree.h>

#include "sim/csv_out.h"
#include "sim/records.h"
#include "sim/switches.h"

#define SIM_PROJECT_ENTITIES_MAX 16
#define SIM_NAME_SIZE 128

struct sim_project_entity {
    const struct sim_entity *entity;
    char file[SIM_NAME_SIZE]; /* name of the data file in the package */
};

/* How far one entity of a project was exported: the store's clock at the last job. */
struct sim_watermark {
    const struct sim_entity *entity;
    char company[SIM_COMPANY_SIZE]; /* empty with watermark_scope project */
    uint32_t clock;
};

struct sim_project {
    char name[SIM_NAME_SIZE];
    char company[SIM_COMPANY_SIZE]; /* as defined */
    bool incremental;
    bool imports; /* it cannot export */
    struct sim_format format;
    struct sim_project_entity entities[SIM_PROJECT_ENTITIES_MAX];
    size_t entity_count;
    struct sim_switch_set switches;
    struct sim_watermark *watermarks;
    size_t watermark_count;
};

struct sim_projects {
    struct sim_project **items;
    size_t count;
};

/* Defines or replaces the project that definition (a JSON object) describes; a replaced one starts
 * again without watermarks and switches. NULL with the reason in problem when it is not right. */
struct sim_project *sim_project_define(struct sim_projects *projects, yajl_val definition,
                                       char *problem, size_t size);

/* Finds a project by its name without regard to case; NULL when there is none. */
struct sim_project *sim_project_find(struct sim_projects *projects, const char *name);

/* The clock up to which entity was exported for company; 0 when never. */
uint32_t sim_project_watermark(const struct sim_project *project, const struct sim_entity *entity,
                               const char *company);
void sim_project_move_watermark(struct sim_project *project, const struct sim_entity *entity,
                                const char *company, uint32_t clock);

/* Adds the project as JSON. */
void sim_project_describe(const struct sim_project *project, struct sim_text *out);

void sim_projects_clear(struct sim_projects *projects);

#endif
