/* The control calls under /_sim/: by HTTP, or from a file at the start. */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include <yajl/yajl_tree.h>

#include "sim/http.h"

/* One control call. It runs with the simulator's lock held. */
struct sim_call {
    struct sim *sim;
    yajl_val body;               /* an object; NULL with GET */
    struct sim_request *request; /* NULL when the call comes from a file */
    struct sim_text *out;        /* the answer, JSON */
    char problem[256];           /* why the call failed, for a status of 400 and more */
};

/* The calls: each returns an HTTP status, and fills in out or problem. */
unsigned sim_control_records(struct sim_call *call);
unsigned sim_control_change(struct sim_call *call);
unsigned sim_control_delete(struct sim_call *call);
unsigned sim_control_change_rate(struct sim_call *call);
unsigned sim_control_count(struct sim_call *call);
unsigned sim_control_entities(struct sim_call *call);

/* A string of the body, or of the query with GET; "" when it is not there. */
const char *sim_call_string(const struct sim_call *call, const char *name);

/* Serves a request whose path begins with /_sim/. */
enum MHD_Result sim_control_serve(struct sim_request *request);

/* Runs the calls of a JSON file: [{"path": "/_sim/records", "body": {…}}, …]. False, after saying
 * which call failed and why on stderr. */
bool sim_control_load(struct sim *sim, const char *file);

/* Streams /_sim/truth. */
enum MHD_Result sim_truth_serve(struct sim_request *request);

#endif
