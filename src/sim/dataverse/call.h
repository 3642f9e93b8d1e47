/* One request to the Web API: who asks, for what, and the answer that grows. */
#ifndef SIM_DATAVERSE_CALL_H
#define SIM_DATAVERSE_CALL_H

#include "sim/dataverse/dataverse.h"
#include "sim/dataverse/row.h"
#include "sim/http.h"

struct dv_call {
    struct sim_request *request;
    struct sim *sim;
    struct dv *dv;
    const char *path; /* behind /api/data/v9.2/ */
    char base[192];   /* http://host:port/api/data/v9.2/ */
    unsigned client;  /* index of the application user */

    bool track; /* the header Prefer, read */
    bool formatted;
    bool lookups;
    int64_t page_size; /* 0: not named */

    unsigned status;
    const char *type; /* of the body; NULL: JSON */
    struct sim_text out;
};

/* Makes the answer an error of the service. */
void dv_fail(struct dv_call *call, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The answers, each for its paths. They take the simulator's lock themselves. */
void dv_answer_set(struct dv_call *call, struct dv_table *table);
void dv_answer_count(struct dv_call *call, struct dv_table *table);
void dv_answer_row(struct dv_call *call, struct dv_table *table, const char *guid);
void dv_answer_related(struct dv_call *call, struct dv_table *table, const char *guid,
                       const char *relation);
void dv_answer_definition(struct dv_call *call, const char *name, bool attributes_only);
void dv_answer_definitions(struct dv_call *call);
void dv_answer_who(struct dv_call *call);
void dv_answer_privilege(struct dv_call *call, const char *rest);
void dv_answer_relationship(struct dv_call *call, const char *name);

/* Reads $select against a table's columns into shape, with the primary key in it. The lock is held.
 * False when a column is unknown: the answer is made. */
bool dv_read_shape(struct dv_call *call, const struct dv_table *table, struct dv_shape *shape);

/* True, with the answer made, when the caller may not read the table. The lock is held. */
bool dv_refuse_reader(struct dv_call *call, const struct dv_table *table);

/* Whether the caller may see the row with this number: of four, basic shows the first, local two,
 * deep three (dv_read_depth). The lock is held. */
bool dv_sees(const struct dv *dv, uint32_t index);

/* Writes the name of the privilege to read a table: prvReadAccount. */
void dv_privilege_name(const struct dv_schema *schema, const char *verb, char *out, size_t size);

/* The id of an application user. */
void dv_user_id(const struct dv_call *call, char *out);

#endif
