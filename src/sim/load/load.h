/* sluice-sim load: an open-loop load generator. When each change is meant to happen is fixed before
 * the first one, and its latency counts from that moment, also when the target or the generator is
 * behind by then: nobody waits, so no wait is left out (no coordinated omission).
 *
 *   options.c   the command line
 *   drive.c     posts each change when it is due
 *   seen.c      a change stream that tells when documents can be read in MongoDB
 *   figures.c   what latencies come to
 *   report.c    tells it: for a person, as JSON, as HdrHistogram's text */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/text.h"

#define LOAD_ID_SIZE 48
#define LOAD_STATUSES 600

struct load_options {
    const char *ingest; /* URL that rows are posted to; NULL: rows of the simulator change */
    const char *token_file;
    const char *key; /* the column that is posted as the row's key */
    const char *sim; /* root of a running sluice-sim */
    const char *ca;  /* file of certificates to trust; NULL: the system's */
    const char *mongo, *database;
    const char *json, *hgrm; /* files to write; NULL: none */
    double rate;             /* changes a second */
    uint64_t tables, rows;   /* rows: that each table of the simulator has at least */
    double seconds;
    uint64_t connections; /* at one time */
    uint64_t timeout_ms;  /* for an answer, and then for the last change to be seen */
    uint64_t count;       /* of changes: rate * seconds */
};

/* Fills options. Returns -1 to go on, else the status to exit with, after saying why. */
int load_options_read(struct load_options *options, int argc, char **argv);

/* One change. Times are nanoseconds of a clock that never jumps. */
struct load_change {
    char id[LOAD_ID_SIZE]; /* of the document that it leads to; empty: it was not made */
    int64_t version;       /* the least one that shows it; 0: any */
    int64_t due_ns, answered_ns, seen_ns; /* 0: not */
};

struct load_run {
    const struct load_options *options;
    struct load_change *changes; /* options->count */
    char name[24];               /* of this run: ids begin with it */
    char *token;                 /* or NULL */
    int64_t start_ns, end_ns;    /* of the schedule; when the last answer was there */
    uint64_t late;               /* begun more than a millisecond after they were due */
    int64_t late_most_ns;
    uint64_t statuses[LOAD_STATUSES]; /* answers by status; 0: there was none */
    uint64_t refused;                 /* answers that are no success, or none */
    char problem[256];                /* of the first of them */
};

/* Nanoseconds now. */
int64_t load_now_ns(void);

/* Posts all changes, each when it is due, and waits for the answers. False, after saying why, when
 * it cannot be done at all. */
bool load_drive(struct load_run *run);

/* Listens to the database from now on, in a thread. NULL, after saying why, when it cannot. */
struct load_seen;
struct load_seen *load_seen_start(const struct load_options *options);
/* Waits until as many changes were seen as were made, at most so long, ends the thread, frees it,
 * and tells in changes when each was seen. False, after saying so, when the stream broke off. */
bool load_seen_end(struct load_seen *seen, struct load_run *run, uint64_t wait_ms);

/* Latencies, sorted, in nanoseconds. */
struct load_figures {
    int64_t *sorted;
    size_t count;
    double mean_ns, deviation_ns;
};
/* Sorts values, which it takes. */
struct load_figures load_figures_of(int64_t *values, size_t count);
void load_figures_done(struct load_figures *figures);
/* The smallest value that share (0 to 1) of all are at or below; 0 when there are none. */
int64_t load_figures_at(const struct load_figures *figures, double share);
/* The text of HdrHistogram's percentile distribution, in milliseconds, five lines for each half of
 * what is left. */
void load_figures_write(const struct load_figures *figures, struct sim_text *out);

/* Prints the summary, and writes the files. Returns the exit status: 0 when every change was
 * answered well, and seen if somebody looked. */
int load_report(const struct load_run *run);

/* The command; argv[0] is its name. */
int load_main(int argc, char **argv);

#endif
