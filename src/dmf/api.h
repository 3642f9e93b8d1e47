/* The data management package API of Dynamics 365 Finance & Operations: the three actions sluice
 * needs, and reading of its OData entity sets. What went wrong (GetExecutionErrors) is not asked
 * for: it may quote rows, and what a run failed of is logged, mailed and kept. Facts: "Data
 * management package REST API" and "Open Data Protocol (OData)" of Microsoft's documentation, and
 * what clients met. */
#ifndef SL_DMF_API_H
#define SL_DMF_API_H

#include "base/err.h"
#include "dmf/settings.h"
#include "format/json.h"
#include "http/client.h"
#include "http/oauth.h"

/* One environment, shared by all feeds that read from it. */
struct sl_dmf_remote {
    struct sl_http *http; /* borrowed */
    const struct sl_dmf_source_settings *settings;
    struct sl_oauth *oauth;
};

/* name is the source's. Fails with SL_CONFIG. Borrows http and settings. */
int sl_dmf_remote_init(struct sl_dmf_remote *remote, struct sl_http *http, const char *name,
                       const struct sl_dmf_source_settings *settings, struct sl_err *err);
void sl_dmf_remote_done(struct sl_dmf_remote *remote);

enum sl_dmf_status {
    SL_DMF_UNKNOWN, /* some answer so for an id that they do not know */
    SL_DMF_NOT_RUN,
    SL_DMF_EXECUTING,
    SL_DMF_SUCCEEDED,
    SL_DMF_PARTIAL, /* PartiallySucceeded: there is a package, but rows are missing */
    SL_DMF_FAILED,
    SL_DMF_CANCELED,
};

struct sl_dmf_export {
    const char *definition_group, *package_name, *execution_id, *legal_entity;
};
enum { SL_DMF_ID_BYTES = 128 };

/* All calls below suspend; transient codes are worth another try; SL_CONFIG: the login is refused;
 * SL_REJECTED: the environment answered that it cannot do it, and why; SL_NOTFOUND: it does not
 * know the execution; SL_CANCELED. err must be given. */

/* Starts an export. ret_id gets the execution's id, which should be the one asked for. After a
 * transient failure other than SL_THROTTLED it is not known whether the export was started. */
int sl_dmf_export(struct sl_dmf_remote *remote, const struct sl_dmf_export *export,
                  char ret_id[SL_DMF_ID_BYTES], struct sl_err *err);

/* How far the execution is. */
int sl_dmf_status(struct sl_dmf_remote *remote, const char *execution_id, enum sl_dmf_status *ret,
                  struct sl_err *err);

/* Gives the package's signed URL (free; a secret), "" while there is none. */
int sl_dmf_package_url(struct sl_dmf_remote *remote, const char *execution_id, char **ret_url,
                       struct sl_err *err);

/* Reads the first page of an entity set ("LegalEntities"); query is escaped and changes nothing.
 * Gives the answer (sl_json_free). SL_NOTFOUND: the environment does not have the set (it is asked
 * for as a whole: a filter that nothing fits is an empty list); SL_CONFIG with cause 403: the user
 * may not read it. */
int sl_dmf_read(struct sl_dmf_remote *remote, const char *set, const char *query,
                struct sl_json_doc **ret, struct sl_err *err);

#endif
