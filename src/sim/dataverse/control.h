/* The control calls under /_sim/dv/. docs/SIMULATOR.md lists them. */
#ifndef SIM_DATAVERSE_CONTROL_H
#define SIM_DATAVERSE_CONTROL_H

#include "sim/control.h"

/* Runs the call of this path, with the simulator's lock held. 404 when there is none, 405 when it
 * wants another method. */
unsigned dv_control(struct sim_call *call, const char *method, const char *path);

/* Starts changing rows in the background: POST /_sim/dv/load. */
unsigned dv_control_load(struct sim_call *call);

/* GET /_sim/dv/truth and GET /_sim/dv/changes: streams of one JSON object a line. */
enum MHD_Result dv_truth_serve(struct sim_request *request);
enum MHD_Result dv_changes_serve(struct sim_request *request);

#endif
