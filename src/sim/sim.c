/* The simulator's shared state, its jobs and its clean end. */
#include "sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sim/clock.h"
#include "sim/dataverse/dataverse.h"
#include "sim/execution.h"
#include "sim/journal.h"
#include "sim/random.h"

struct job {
    struct sim *sim;
    void (*run)(struct sim *sim, void *arg);
    void *arg;
};

static bool make_dir(struct sim *sim)
{
    if (sim->options.dir) {
        sim_copy(sim->dir, sizeof(sim->dir), sim->options.dir);
        if (mkdir(sim->dir, 0755) == 0 || errno == EEXIST)
            return true;
    } else {
        const char *parent = getenv("TMPDIR");
        snprintf(sim->dir, sizeof(sim->dir), "%s/sluice-sim-XXXXXX",
                 parent && *parent ? parent : "/tmp");
        sim->dir_is_ours = mkdtemp(sim->dir) != NULL;
        if (sim->dir_is_ours)
            return true;
    }
    fprintf(stderr, "sluice-sim: cannot make the folder %s: %s\n", sim->dir, strerror(errno));
    return false;
}

bool sim_init(struct sim *sim, const struct sim_options *options)
{
    *sim = (struct sim){.options = *options};
    sim->store.seed = options->seed;
    sim->store.picks = sim_mix(options->seed);
    sim_switch_assign(&sim->switches, SW_TOKEN_SECONDS, options->token_seconds);
    if (getrandom(&sim->secret, sizeof(sim->secret), 0) != sizeof(sim->secret)) {
        fprintf(stderr, "sluice-sim: cannot get random bytes: %s\n", strerror(errno));
        return false;
    }
    pthread_mutex_init(&sim->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sim->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    sim->dataverse = dv_new(sim);
    if (options->journal && !sim_journal_open(sim, options->journal))
        return false;
    return make_dir(sim);
}

static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(path);
}

void sim_done(struct sim *sim)
{
    sim_lock(sim);
    sim->stopping = true;
    sim_reset(sim);
    sim_unlock(sim);
    dv_free(sim->dataverse);
    sim_journal_close(sim);
    if (sim->dir_is_ours)
        remove_dir(sim->dir);
    pthread_cond_destroy(&sim->wake);
    pthread_mutex_destroy(&sim->lock);
}

void sim_lock(struct sim *sim)
{
    pthread_mutex_lock(&sim->lock);
}

void sim_unlock(struct sim *sim)
{
    pthread_mutex_unlock(&sim->lock);
}

void sim_wait(struct sim *sim, int64_t time_ms)
{
    int64_t end_ms = sim_clock_steady_ms() + time_ms;
    struct timespec end = {.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};
    pthread_cond_timedwait(&sim->wake, &sim->lock, &end);
}

static bool sleep_until(struct sim *sim, int64_t time_ms, bool job)
{
    int64_t end_ms = sim_clock_steady_ms() + time_ms;
    sim_lock(sim);
    bool go_on = true;
    for (;;) {
        go_on = !sim->stopping && !(job && atomic_load(&sim->cancel));
        int64_t left_ms = end_ms - sim_clock_steady_ms();
        if (!go_on || left_ms <= 0)
            break;
        sim_wait(sim, left_ms);
    }
    sim_unlock(sim);
    return go_on;
}

bool sim_sleep(struct sim *sim, int64_t time_ms)
{
    return sleep_until(sim, time_ms, false);
}

bool sim_job_sleep(struct sim *sim, int64_t time_ms)
{
    return sleep_until(sim, time_ms, true);
}

static void *run_job(void *arg)
{
    struct job job = *(struct job *)arg;
    free(arg);
    job.run(job.sim, job.arg);
    sim_lock(job.sim);
    job.sim->jobs--;
    pthread_cond_broadcast(&job.sim->wake);
    sim_unlock(job.sim);
    return NULL;
}

bool sim_job_start(struct sim *sim, void (*run)(struct sim *sim, void *arg), void *arg)
{
    struct job *job = sim_alloc(sizeof(*job));
    *job = (struct job){sim, run, arg};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int rc = sim->stopping ? EAGAIN : pthread_create(&thread, &attributes, run_job, job);
    pthread_attr_destroy(&attributes);
    if (rc != 0) {
        free(job);
        return false;
    }
    sim->jobs++;
    return true;
}

void sim_jobs_end(struct sim *sim)
{
    atomic_store(&sim->cancel, true);
    pthread_cond_broadcast(&sim->wake);
    while (sim->jobs > 0)
        sim_wait(sim, 1000);
    atomic_store(&sim->cancel, false);
}

struct sim_switch_view sim_switch_view(struct sim *sim, struct sim_project *project)
{
    return (struct sim_switch_view){&sim->switches, project ? &project->switches : NULL};
}

void sim_reset(struct sim *sim)
{
    sim_jobs_end(sim);
    sim_executions_clear(sim);
    sim_projects_clear(&sim->projects);
    sim_store_clear(&sim->store);
    sim->store.picks = sim_mix(sim->options.seed);
    sim->switches = (struct sim_switch_set){0};
    sim_switch_assign(&sim->switches, SW_TOKEN_SECONDS, sim->options.token_seconds);
    sim->token_revoked = sim->token_serial;
    sim_credentials_clear(&sim->credentials);
    dv_clear(sim->dataverse);
    sim_stats_clear(&sim->stats);
}
