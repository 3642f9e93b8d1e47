/* The command line of sluice-sim. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_CLIENTS_MAX 16

struct sim_options {
    char host[64];
    uint16_t port; /* 0: a free one */
    uint64_t seed;
    const char *dir; /* NULL: a temporary one, removed at the end */
    const char *tenant;
    const char *client_ids[SIM_CLIENTS_MAX];
    unsigned client_count;
    const char *client_secret;
    const char *identity_header; /* what the endpoint of managed identities for apps is shown */
    int64_t token_seconds;
    int64_t disk_mib; /* packages kept at most; older ones are gone */
    const char *load; /* NULL: nothing */
    const char *port_file;
    const char *journal; /* NULL: none */
};

/* Reads the command line; the strings live as long as argv. Returns -1 to go on, else the status
 * to exit with: after --help and version (0), after a mistake (2), which it has explained. */
int sim_options_read(struct sim_options *options, int argc, char **argv);

#endif
