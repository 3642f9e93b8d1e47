/* Managed identities: the metadata service of a machine in Azure, and the endpoint of App Service
 * and Container Apps. The identity is that of the first client, or of the one that is named. */
#ifndef SIM_IDENTITY_H
#define SIM_IDENTITY_H

#include "sim/http.h"

#define SIM_IDENTITY_METADATA "/metadata/identity/oauth2/token"
#define SIM_IDENTITY_APP "/msi/token"

/* Serves a request for one of these paths. */
enum MHD_Result sim_identity_serve(struct sim_request *request);

#endif
