/* The Data Management package API: four actions under /data. */
#ifndef SIM_DMF_H
#define SIM_DMF_H

#include "sim/http.h"

/* Serves a request whose path begins with /data/. */
enum MHD_Result sim_dmf_serve(struct sim_request *request);

#endif
