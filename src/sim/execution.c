/* The list of executions: beginning, finding, describing, forgetting. */
#include "sim/execution.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "sim/clock.h"
#include "sim/export_job.h"
#include "sim/random.h"

static const char *const state_names[] = {
    "NotRun", "Executing", "Succeeded", "PartiallySucceeded", "Failed", "Canceled",
};

const char *sim_state_name(enum sim_state state)
{
    return state_names[state];
}

/* A guid that nobody guesses and that differs from start to start. */
static void make_guid(uint64_t number, char *out, size_t size)
{
    uint64_t a = sim_mix(number);
    uint64_t b = sim_mix(a ^ SIM_GOLDEN);
    snprintf(out, size, "%08" PRIx32 "-%04x-4%03x-9%03x-%012" PRIx64, (uint32_t)(a >> 32),
             (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 52),
             b & 0xffffffffffff);
}

struct sim_execution *sim_execution_begin(struct sim *sim, struct sim_project *project,
                                          const char *id, const char *company)
{
    struct sim_switch_view view = sim_switch_view(sim, project);
    struct sim_execution *execution = sim_alloc(sizeof(*execution));
    uint64_t number = ++sim->execution_serial;
    make_guid(sim->secret + number * 2, execution->blob, sizeof(execution->blob));
    snprintf(execution->etag, sizeof(execution->etag), "\"0x8DE%012" PRIX64 "\"",
             sim_mix(sim->secret ^ number) & 0xffffffffffff);
    if (!*id || sim_switch_number(view, SW_REWRITE_EXECUTION_ID))
        snprintf(execution->id, sizeof(execution->id), "%s-%06" PRIu64 "-%s", project->name, number,
                 execution->blob);
    else
        sim_copy(execution->id, sizeof(execution->id), id);
    sim_copy(execution->project, sizeof(execution->project), project->name);
    sim_company_fold(execution->company, company);
    execution->created_ms = sim_clock_ms();
    execution->references = 3; /* the list, the job, the caller */

    sim->executions =
        sim_realloc(sim->executions, (sim->execution_count + 1) * sizeof(struct sim_execution *));
    sim->executions[sim->execution_count++] = execution;
    if (!sim_job_start(sim, sim_export_job, execution)) {
        execution->references--;
        execution->state = STATE_FAILED;
        execution->finished = true;
        sim_copy(execution->problem, sizeof(execution->problem), "no thread for the job");
    }
    return execution;
}

void sim_execution_release(struct sim_execution *execution)
{
    if (--execution->references == 0)
        free(execution);
}

struct sim_execution *sim_execution_find(struct sim *sim, const char *id)
{
    for (size_t i = sim->execution_count; i-- > 0;)
        if (strcasecmp(sim->executions[i]->id, id) == 0)
            return sim->executions[i];
    return NULL;
}

struct sim_execution *sim_execution_find_blob(struct sim *sim, const char *blob)
{
    for (size_t i = sim->execution_count; i-- > 0;)
        if (strcmp(sim->executions[i]->blob, blob) == 0)
            return sim->executions[i];
    return NULL;
}

bool sim_execution_busy(struct sim *sim, const char *project)
{
    for (size_t i = 0; i < sim->execution_count; i++)
        if (!sim->executions[i]->finished && strcmp(sim->executions[i]->project, project) == 0)
            return true;
    return false;
}

static void add_time(struct sim_text *out, const char *name, int64_t at_ms)
{
    char text[40];
    if (at_ms == 0)
        return;
    sim_clock_iso_ms(at_ms, text, sizeof(text));
    sim_text_member(out, name, text);
}

void sim_execution_describe(const struct sim_execution *execution, struct sim_text *out)
{
    bool full = execution->file_count > 0;
    sim_text_char(out, '{');
    sim_text_member(out, "id", execution->id);
    sim_text_member(out, "project", execution->project);
    sim_text_member(out, "company", execution->company);
    sim_text_member(out, "state", sim_state_name(execution->state));
    sim_text_bool(out, "finished", execution->finished);
    sim_text_name(out, "rows");
    sim_text_char(out, '{');
    for (size_t i = 0; i < execution->file_count; i++) {
        sim_text_number(out, execution->files[i].entity->label, (int64_t)execution->files[i].rows);
        full = full && execution->files[i].full;
    }
    sim_text_char(out, '}');
    sim_text_bool(out, "full", full);
    sim_text_number(out, "package_bytes", (int64_t)execution->size);
    sim_text_number(out, "polls", (int64_t)execution->polls);
    sim_text_number(out, "url_requests", (int64_t)execution->url_requests);
    sim_text_number(out, "downloads", (int64_t)execution->downloads);
    add_time(out, "created_at", execution->created_ms);
    add_time(out, "started_at", execution->started_ms);
    add_time(out, "finished_at", execution->finished_ms);
    if (*execution->problem)
        sim_text_member(out, "problem", execution->problem);
    sim_text_char(out, '}');
}

void sim_executions_clear(struct sim *sim)
{
    for (size_t i = 0; i < sim->execution_count; i++) {
        struct sim_execution *execution = sim->executions[i];
        if (*execution->path && !sim_export_is_kept(execution->path))
            unlink(execution->path);
        sim_execution_release(execution);
    }
    free(sim->executions);
    sim->executions = NULL;
    sim->execution_count = 0;
}
