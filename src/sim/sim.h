/* The simulator: everything that its threads share, under one lock.
 * The threads: libmicrohttpd's, one for each connection; one for each execution; one for each
 * change_rate and load; one that posts to webhooks. No caller holds the lock while it sends, builds
 * a package or sleeps. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/credentials.h"
#include "sim/options.h"
#include "sim/project.h"
#include "sim/records.h"
#include "sim/stats.h"
#include "sim/switches.h"

struct MHD_Daemon;
struct sim_execution;
struct dv;

struct sim {
    struct sim_options options;
    char dir[512];
    bool dir_is_ours;   /* a temporary one: remove it */
    char authority[96]; /* host:port */
    struct MHD_Daemon *daemon;
    uint64_t secret; /* of tokens and signatures; another one with each start */

    pthread_mutex_t lock;
    pthread_cond_t wake; /* an execution moved on, a job ended, or the simulator stops */
    bool stopping;
    atomic_bool cancel; /* jobs shall end now: reset or stop */
    unsigned jobs;      /* threads of executions and change rates */

    struct sim_switch_set switches;
    struct sim_store store;
    struct sim_projects projects;
    struct sim_execution **executions; /* oldest first */
    size_t execution_count;
    uint64_t execution_serial; /* the number of the newest */
    uint64_t token_serial;
    uint64_t token_revoked; /* tokens up to this serial are void */
    struct sim_credentials credentials;
    struct sim_stats stats;
    struct dv *dataverse; /* dataverse/dataverse.h */
    FILE *journal;        /* NULL: none is kept */
};

/* Makes the shared state and the folder. False, after saying why on stderr, when it cannot. */
bool sim_init(struct sim *sim, const struct sim_options *options);

/* Ends all jobs and frees everything; no other thread may be left but jobs. */
void sim_done(struct sim *sim);

void sim_lock(struct sim *sim);
void sim_unlock(struct sim *sim);

/* Sleeps, at the most until the simulator stops: then false. Not with the lock held. */
bool sim_sleep(struct sim *sim, int64_t time_ms);

/* The same for jobs, which end on reset too. */
bool sim_job_sleep(struct sim *sim, int64_t time_ms);

/* Waits until something happened (wake) or the time is over. The lock is held. */
void sim_wait(struct sim *sim, int64_t time_ms);

/* Runs job(sim, arg) on a thread of its own. The lock is held. False when there is no thread. */
bool sim_job_start(struct sim *sim, void (*job)(struct sim *sim, void *arg), void *arg);

/* Ends all jobs and waits for them. The lock is held on entry and on return. */
void sim_jobs_end(struct sim *sim);

/* The switches as a project sees them (NULL: no project). The lock is held. */
struct sim_switch_view sim_switch_view(struct sim *sim, struct sim_project *project);

/* Back to the state after a start without --load. Tokens become void. The lock is held. */
void sim_reset(struct sim *sim);

#endif
