/* The OData entity sets of Finance & Operations that tell of data projects and legal entities. */
#ifndef SIM_ODATA_H
#define SIM_ODATA_H

#include "sim/http.h"

struct sim_entity_set;

/* Finds the set that a path names; NULL when it names none. */
const struct sim_entity_set *sim_odata_find(const char *path);

/* Its name, a string constant. */
const char *sim_odata_name(const struct sim_entity_set *set);

/* Writes the answer to a GET of the set into out and returns its status. The lock is held. */
unsigned sim_odata_answer(const struct sim_request *request, const struct sim_entity_set *set,
                          struct sim_text *out);

#endif
