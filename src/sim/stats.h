/* What was asked of the simulator and what it gave: counted for /_sim/stats.
 * The simulator's lock is held for all calls. */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sim/text.h"

/* One download that is under way. */
struct sim_download {
    struct sim_download *next;
    struct sim_download *previous;
    char execution[128]; /* its id, cut */
    int socket;
    bool by_kernel;        /* sendfile sends it, so only the kernel knows how far it is */
    uint64_t acked_before; /* bytes acknowledged on the socket when the body began */
    uint64_t offset;
    uint64_t length;
    atomic_ullong given; /* body bytes handed to the socket, when not by_kernel */
    int64_t started_ms;
};

#define SIM_STAT_ROWS 128

struct sim_stats {
    struct {
        const char *action;
        unsigned status;
        uint64_t count;
    } requests[SIM_STAT_ROWS];
    unsigned request_rows;
    uint64_t tokens_issued;
    uint64_t ranges_served;
    uint64_t bytes_served; /* of downloads that have ended */
    uint64_t downloads_completed;
    uint64_t downloads_broken;
    uint64_t bearer_leaked;
    uint64_t bearer_foreign; /* requests with a token that another host gave */
    uint64_t packages_built;
    uint64_t packages_reused;
    struct sim_download *downloads;
};

void sim_stats_request(struct sim_stats *stats, const char *action, unsigned status);

/* Links a download in; sim_stats_download_end unlinks and frees it, completed or broken off.
 * It must be ended before its socket is closed. */
void sim_stats_download_begin(struct sim_stats *stats, struct sim_download *download);
void sim_stats_download_end(struct sim_stats *stats, struct sim_download *download, bool completed);

/* Adds the members of the stats object, braces not included. */
void sim_stats_describe(const struct sim_stats *stats, struct sim_text *out);

/* Everything to zero, but downloads that are under way stay linked. */
void sim_stats_clear(struct sim_stats *stats);

/* Bytes that the peer of a TCP socket has acknowledged so far; 0 where the kernel cannot tell. */
uint64_t sim_socket_acked(int socket);

#endif
