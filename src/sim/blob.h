/* The blob store: package downloads by signed URL, as Azure Blob
 * Storage has it. */
#ifndef SIM_BLOB_H
#define SIM_BLOB_H

#include "sim/execution.h"
#include "sim/http.h"

/* Serves a request whose path begins with /dmf/. */
enum MHD_Result sim_blob_serve(struct sim_request *request);

/* Writes the signed URL of an execution's package; takes from the switches that spoil it. The
 * lock is held. */
void sim_blob_url(struct sim *sim, struct sim_switch_view view,
                  const struct sim_execution *execution, const char *authority, char *out,
                  size_t size);

#endif
