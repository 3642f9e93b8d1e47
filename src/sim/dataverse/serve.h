/* The Dataverse Web API: everything below /api/data/v9.2/. */
#ifndef SIM_DATAVERSE_SERVE_H
#define SIM_DATAVERSE_SERVE_H

#include "sim/http.h"

/* Serves a request whose path begins with DV_API. */
enum MHD_Result dv_serve(struct sim_request *request);

#endif
