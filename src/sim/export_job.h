/* What an execution does, on its own thread: wait in the queue, read the data, build the package.
 */
#ifndef SIM_EXPORT_JOB_H
#define SIM_EXPORT_JOB_H

#include <stdbool.h>

struct sim;

/* The job of an execution (arg); takes one reference to it. Not with the lock held. */
void sim_export_job(struct sim *sim, void *arg);

/* True for packages that stay in the folder to be served again: those with whole tables, named
 * after their content. */
bool sim_export_is_kept(const char *path);

#endif
