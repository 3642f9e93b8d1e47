/* Executions: the export jobs, each on a thread of its own, and their packages.
 * All calls but those that say otherwise want the simulator's lock held. */
#ifndef SIM_EXECUTION_H
#define SIM_EXECUTION_H

#include "sim/sim.h"

#define SIM_ID_SIZE 256

/* NotRun -> Executing -> one of the others. */
enum sim_state {
    STATE_NOT_RUN,   /* accepted; the data is not read yet */
    STATE_EXECUTING, /* the snapshot is taken, the watermark has moved */
    STATE_SUCCEEDED,
    STATE_PARTIALLY_SUCCEEDED,
    STATE_FAILED,
    STATE_CANCELED,
};

struct sim_execution_file {
    const struct sim_entity *entity;
    char name[SIM_NAME_SIZE];
    bool full;
    uint64_t rows;
};

struct sim_execution {
    unsigned references; /* the list, the job, and whoever waits */
    char id[SIM_ID_SIZE];
    char project[SIM_NAME_SIZE];
    char company[SIM_COMPANY_SIZE];
    char blob[40]; /* the guid in its URL */
    char etag[32];
    enum sim_state state;
    bool finished;
    bool no_url; /* there is nothing to fetch, and never will be */
    struct sim_execution_file files[SIM_PROJECT_ENTITIES_MAX];
    size_t file_count;
    char path[640]; /* of the package; empty: none */
    uint64_t size;
    int64_t created_ms;
    int64_t started_ms;
    int64_t finished_ms;
    uint64_t polls;
    uint64_t url_requests; /* since the package is ready */
    uint64_t downloads;
    char problem[256];
};

/* Begins an execution of project for company (as the caller wrote it). id may be empty: the server
 * makes one, and with the switch rewrite_execution_id it always does. Gives a reference. */
struct sim_execution *sim_execution_begin(struct sim *sim, struct sim_project *project,
                                          const char *id, const char *company);

/* NULL when there is none of this id, or of this blob. Borrowed while the lock is held. */
struct sim_execution *sim_execution_find(struct sim *sim, const char *id);
struct sim_execution *sim_execution_find_blob(struct sim *sim, const char *blob);

/* True while an execution of the project has not finished. */
bool sim_execution_busy(struct sim *sim, const char *project);

void sim_execution_release(struct sim_execution *execution);

/* NotRun, Executing, Succeeded … */
const char *sim_state_name(enum sim_state state);

/* Adds the execution as JSON. */
void sim_execution_describe(const struct sim_execution *execution, struct sim_text *out);

/* Forgets all executions; no job may run. Kept full packages stay in the folder. */
void sim_executions_clear(struct sim *sim);

#endif
