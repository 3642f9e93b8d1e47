/* HTTP: libmicrohttpd with a thread for each connection, so that an answer may wait or crawl. */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include <microhttpd.h>

#include "sim/sim.h"

struct sim_header {
    const char *name;
    const char *value;
};

struct sim_request {
    struct sim *sim;
    struct MHD_Connection *connection;
    const char *method;
    const char *path;
    const char *action; /* for the statistics; a string constant */
    struct sim_text body;
    struct sim_download *download; /* NULL when the answer is no package */
};

/* Starts listening; fills in sim->authority. False, after saying why on stderr, when it cannot. */
bool sim_http_start(struct sim *sim);

/* Stops listening and waits for the threads of all connections. sim->stopping is already set. */
void sim_http_stop(struct sim *sim);

/* A request header, or an argument of the query; NULL when it is not there. */
const char *sim_http_header(const struct sim_request *request, const char *name);
const char *sim_http_argument(const struct sim_request *request, const char *name);

/* Answers with body (NULL: none); takes its bytes. headers (NULL: none) end with a NULL name. */
enum MHD_Result sim_http_answer(struct sim_request *request, unsigned status, const char *type,
                                struct sim_text *body, const struct sim_header *headers);

/* Answers with a response made by the caller; takes it, counts the status. */
enum MHD_Result sim_http_send(struct sim_request *request, unsigned status,
                              struct MHD_Response *response);

#endif
