/* What an execution does. The data is read and the watermark moves in one step, under the lock;
 * then the package is built from the snapshot without it. */
#include "sim/export_job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/clock.h"
#include "sim/execution.h"
#include "sim/package.h"

#define KEPT_PREFIX "full-"

struct export_job {
    struct sim *sim;
    struct sim_execution *execution;
    struct sim_snapshot snapshots[SIM_PROJECT_ENTITIES_MAX];
    struct sim_package_file files[SIM_PROJECT_ENTITIES_MAX];
    struct sim_package_plan plan;
    enum sim_state outcome;
    int64_t least_ms; /* the job takes at least so long */
    bool corrupt;
    bool cut;
    uint64_t size; /* of the package */
    char problem[800];
};

bool sim_export_is_kept(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, KEPT_PREFIX, strlen(KEPT_PREFIX)) == 0;
}

static enum sim_state read_outcome(struct sim_switch_view view)
{
    static const enum sim_state ends[] = {STATE_SUCCEEDED, STATE_PARTIALLY_SUCCEEDED, STATE_FAILED,
                                          STATE_CANCELED};
    const char *text = sim_switch_text(view, SW_FINAL_STATUS);
    enum sim_state outcome = STATE_SUCCEEDED;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (strcmp(sim_state_name(ends[i]), text) == 0)
            outcome = ends[i];

    bool counted = sim_switch_number(view, SW_FAIL_NEXT) > 0;
    if (!sim_switch_take(view, SW_FAIL_NEXT))
        return STATE_SUCCEEDED;
    return counted && outcome == STATE_SUCCEEDED ? STATE_FAILED : outcome;
}

static bool is_failure(enum sim_state outcome)
{
    return outcome == STATE_FAILED || outcome == STATE_CANCELED;
}

static void read_switches(struct export_job *job, struct sim_switch_view view,
                          const struct sim_project *project)
{
    struct sim_package_plan *plan = &job->plan;
    int64_t level = sim_switch_number(view, SW_LEVEL);
    plan->project = job->execution->project;
    plan->incremental = project->incremental;
    plan->format = project->format;
    plan->faults = sim_faults_read(view);
    plan->level = level < 0 || level > 9 ? 1 : (int)level;
    plan->manifest_last = sim_switch_number(view, SW_MANIFEST_LAST);
    plan->data_descriptors = sim_switch_number(view, SW_DATA_DESCRIPTORS);
    plan->force_zip64 = sim_switch_number(view, SW_FORCE_ZIP64);
    plan->unquoted = sim_switch_number(view, SW_UNQUOTED);
    plan->skip_empty = strcmp(sim_switch_text(view, SW_ZERO_ROWS), "no_file") == 0;
    plan->cancel = &job->sim->cancel;
    job->outcome = read_outcome(view);
    plan->partial = job->outcome == STATE_PARTIALLY_SUCCEEDED;
    job->least_ms = sim_switch_number(view, SW_EXPORT_MS);
    if (!is_failure(job->outcome)) {
        job->corrupt = sim_switch_take(view, SW_CORRUPT_ZIP_NEXT);
        job->cut = sim_switch_take(view, SW_TRUNCATED_ZIP_NEXT);
    }
}

/* Takes the snapshots and moves the watermarks. */
static void read_data(struct export_job *job, struct sim_switch_view view,
                      struct sim_project *project)
{
    struct sim *sim = job->sim;
    struct sim_execution *execution = job->execution;
    bool shared = strcmp(sim_switch_text(view, SW_WATERMARK_SCOPE), "project") == 0;
    const char *scope = shared ? "" : execution->company;
    bool moves = !is_failure(job->outcome) || sim_switch_number(view, SW_FAILED_MOVES_WATERMARK);

    uint64_t rows = 0;
    for (size_t i = 0; i < project->entity_count; i++) {
        const struct sim_project_entity *entity = &project->entities[i];
        struct sim_execution_file *file = &execution->files[i];
        uint32_t since =
            project->incremental ? sim_project_watermark(project, entity->entity, scope) : 0;
        *file = (struct sim_execution_file){.entity = entity->entity, .full = since == 0};
        sim_copy(file->name, sizeof(file->name), entity->file);
        sim_snapshot_take(&job->snapshots[i], &sim->store,
                          sim_store_table(&sim->store, entity->entity, execution->company, false),
                          entity->entity, execution->company, since);
        job->files[i] = (struct sim_package_file){file->name, &job->snapshots[i]};
        job->plan.files = job->files;
        job->plan.file_count = i + 1;
        if (!is_failure(job->outcome))
            file->rows = sim_package_rows(&job->plan, i);
        rows += file->rows;
    }
    /* One entity may stand in a project twice: no watermark moves before all were read. */
    for (size_t i = 0; moves && project->incremental && i < project->entity_count; i++)
        sim_project_move_watermark(project, project->entities[i].entity, scope, sim->store.clock);
    execution->file_count = project->entity_count;
    execution->no_url = is_failure(job->outcome) ||
                        (rows == 0 && strcmp(sim_switch_text(view, SW_ZERO_ROWS), "no_url") == 0);
}

/* Reads everything that the export depends on. False when the project is gone by now. */
static bool begin(struct export_job *job)
{
    struct sim *sim = job->sim;
    sim_lock(sim);
    struct sim_project *project = sim_project_find(&sim->projects, job->execution->project);
    if (project) {
        struct sim_switch_view view = sim_switch_view(sim, project);
        read_switches(job, view, project);
        read_data(job, view, project);
        job->execution->state = STATE_EXECUTING;
        job->execution->started_ms = sim_clock_ms();
    }
    sim_unlock(sim);
    return project != NULL;
}

/* Flips some bytes, or cuts the file, in the middle of the first data file. */
static int damage(const struct export_job *job, const char *path, struct sim_package *package)
{
    if (job->cut) {
        if (truncate(path, (off_t)package->damage_at) != 0)
            return -1;
        package->size = package->damage_at;
        return 0;
    }
    unsigned char bytes[8];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = pread(fd, bytes, sizeof(bytes), (off_t)package->damage_at);
    for (ssize_t i = 0; i < n; i++)
        bytes[i] ^= 0x5a;
    bool ok = n > 0 && pwrite(fd, bytes, (size_t)n, (off_t)package->damage_at) == n;
    close(fd);
    return ok ? 0 : -1;
}

/* A whole export of the same data is served from the file that is already there. */
static bool reuse(struct export_job *job, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    job->size = (uint64_t)st.st_size;
    return true;
}

static int build(struct export_job *job, char *path, size_t path_size, bool *ret_reused)
{
    const struct sim_execution *execution = job->execution;
    bool whole = !job->corrupt && !job->cut;
    for (size_t i = 0; i < job->plan.file_count; i++)
        whole = whole && job->snapshots[i].indices == NULL;
    char part[640];
    snprintf(part, sizeof(part), "%s/part-%s", job->sim->dir, execution->blob);
    if (whole)
        snprintf(path, path_size, "%s/" KEPT_PREFIX "%016" PRIx64 ".zip", job->sim->dir,
                 sim_package_key(&job->plan));
    else
        snprintf(path, path_size, "%s/once-%s.zip", job->sim->dir, execution->blob);
    *ret_reused = whole && reuse(job, path);
    if (*ret_reused)
        return 0;

    struct sim_package package;
    if (sim_package_build(&job->plan, part, &package, job->problem, sizeof(job->problem)) != 0)
        return -1;
    if (((job->corrupt || job->cut) && damage(job, part, &package) != 0) ||
        rename(part, path) != 0) {
        snprintf(job->problem, sizeof(job->problem), "cannot finish %s: %s", path, strerror(errno));
        unlink(part);
        return -1;
    }
    job->size = package.size;
    return 0;
}

static bool is_used_later(struct sim *sim, size_t index)
{
    for (size_t i = index + 1; i < sim->execution_count; i++)
        if (strcmp(sim->executions[i]->path, sim->executions[index]->path) == 0)
            return true;
    return false;
}

/* Drops the oldest packages while all together are larger than --disk-mib; never the newest. */
static void keep_small(struct sim *sim)
{
    uint64_t most = (uint64_t)sim->options.disk_mib << 20;
    uint64_t bytes = 0;
    for (size_t i = 0; i < sim->execution_count; i++)
        if (*sim->executions[i]->path && !is_used_later(sim, i))
            bytes += sim->executions[i]->size;
    for (size_t i = 0; bytes > most && i + 1 < sim->execution_count; i++) {
        struct sim_execution *old = sim->executions[i];
        if (!*old->path)
            continue;
        if (!is_used_later(sim, i)) {
            unlink(old->path);
            bytes -= old->size;
        }
        old->path[0] = '\0';
    }
}

static void finish(struct export_job *job, bool ok, const char *path, bool reused)
{
    struct sim *sim = job->sim;
    struct sim_execution *execution = job->execution;
    sim_lock(sim);
    if (!ok) {
        execution->state = atomic_load(&sim->cancel) ? STATE_CANCELED : STATE_FAILED;
        execution->no_url = true;
        sim_copy(execution->problem, sizeof(execution->problem), job->problem);
        if (!atomic_load(&sim->cancel))
            fprintf(stderr, "sluice-sim: execution %s: %s\n", execution->id, execution->problem);
    } else {
        execution->state = job->outcome;
        execution->size = job->size;
        sim_copy(execution->path, sizeof(execution->path), path);
        if (*path && reused)
            sim->stats.packages_reused++;
        else if (*path)
            sim->stats.packages_built++;
        keep_small(sim);
    }
    execution->finished_ms = sim_clock_ms();
    execution->finished = true;
    pthread_cond_broadcast(&sim->wake);
    sim_execution_release(execution);
    sim_unlock(sim);
}

void sim_export_job(struct sim *sim, void *arg)
{
    struct export_job *job = sim_alloc(sizeof(*job));
    job->sim = sim;
    job->execution = arg;

    sim_lock(sim);
    struct sim_project *project = sim_project_find(&sim->projects, job->execution->project);
    int64_t queue_ms = sim_switch_number(sim_switch_view(sim, project), SW_QUEUE_MS);
    sim_unlock(sim);

    char path[640] = "";
    bool reused = false;
    bool ok = (queue_ms <= 0 || sim_job_sleep(sim, queue_ms)) && begin(job);
    int64_t started_ms = sim_clock_steady_ms();
    if (ok && !is_failure(job->outcome))
        ok = build(job, path, sizeof(path), &reused) == 0;
    int64_t left_ms = job->least_ms - (sim_clock_steady_ms() - started_ms);
    if (ok && left_ms > 0)
        ok = sim_job_sleep(sim, left_ms);
    finish(job, ok, path, reused);

    for (size_t i = 0; i < SIM_PROJECT_ENTITIES_MAX; i++)
        sim_snapshot_done(&job->snapshots[i]);
    free(job);
}
