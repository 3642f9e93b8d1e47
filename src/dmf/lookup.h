/* What is defined in a Finance & Operations environment: data projects, what is in them, companies.
 * Only read, for a person who wants to know whether the configuration fits.
 *
 * Facts: that the entity sets DataManagementDefinitionGroups and
 * DataManagementDefinitionGroupDetails are there and belong to no company: "Data integration APIs"
 * of Microsoft's Supply Chain Management documentation. Their members (Name, OperationType;
 * DefinitionGroupId, EntityName), and LegalEntities with LegalEntityId: clients generated from an
 * environment's $metadata, and clients that ask as is asked here. $filter, $select, cross-company,
 * pages, and that a '*' in a literal fits any text: "Open Data Protocol (OData)". That 403 is a
 * missing right: what clients met. */
#ifndef SL_DMF_LOOKUP_H
#define SL_DMF_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "dmf/api.h"

/* Texts of one member, as the environment writes them. A zeroed one is empty. */
struct sl_dmf_names {
    char **at;
    size_t count;
};

void sl_dmf_names_done(struct sl_dmf_names *names);

/* Without regard to the case of ASCII letters, as packages are read. */
bool sl_dmf_names_have(const struct sl_dmf_names *names, const char *name);

/* The three give names (sl_dmf_names_done), none when nothing is there, and fail as sl_dmf_read
 * does, or with SL_CLOSED when the answer is no list, and SL_REJECTED when it goes on on another
 * page. They suspend. */

/* The operation types of the data projects of that name, "Export" or "Import" each. */
int sl_dmf_project_kinds(struct sl_dmf_remote *remote, const char *project,
                         struct sl_dmf_names *ret, struct sl_err *err);

/* The entities of the data project. */
int sl_dmf_project_entities(struct sl_dmf_remote *remote, const char *project,
                            struct sl_dmf_names *ret, struct sl_err *err);

/* The ids of all legal entities that the user sees. */
int sl_dmf_companies(struct sl_dmf_remote *remote, struct sl_dmf_names *ret, struct sl_err *err);

/* --- inside, for tests --- */

/* Adds text as an OData literal with its quotes, escaped for a URL's query. */
void sl_dmf_add_literal(struct sl_buf *query, const char *text);

/* Takes member from each row of an answer; where, when it is given, only from rows whose member of
 * that name is is. set is for messages. Fails as above. */
struct sl_dmf_wanted {
    const char *set, *member, *where, *is;
};
int sl_dmf_names_take(const struct sl_dmf_wanted *wanted, const struct sl_json *answer,
                      struct sl_dmf_names *ret, struct sl_err *err);

#endif
