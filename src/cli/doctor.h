/* sluice doctor: everything that a run needs, tried once and told in a line each. */
#ifndef SL_CLI_DOCTOR_H
#define SL_CLI_DOCTOR_H

#include "cli/registry.h"
#include "config/config.h"
#include "dataverse/api.h"
#include "flow/state.h"

enum sl_verdict { SL_DOCTOR_OK, SL_DOCTOR_WARN, SL_DOCTOR_FAIL };

struct sl_doctor {
    const struct sl_config *config;
    const struct sl_settings *settings;
    struct sl_http *http;
    bool mongo_answers; /* sl_doctor_mongo has found so */
    unsigned failed, warned;
};

enum {
    SL_DOCTOR_WAIT_MS = 10 * 1000,    /* for one command of RabbitMQ or MongoDB */
    SL_DOCTOR_REQUEST_MS = 30 * 1000, /* for one answer of a source */
    SL_DOCTOR_WHAT_BYTES = 200,
};

/* Prints "ok    what: why → advice"; advice may be NULL. */
void sl_doctor_say(struct sl_doctor *doctor, enum sl_verdict verdict, const char *what,
                   const char *advice, const char *why, ...) __attribute__((format(printf, 5, 6)));

/* The same for a failure. Returns true when rc is SL_OK, having said nothing. advice is for a peer
 * that is away: other errors say themselves what to do. */
bool sl_doctor_works(struct sl_doctor *doctor, int rc, const struct sl_err *err, const char *what,
                     const char *advice);

/* The checks, each in a file of its own. All suspend. */
void sl_doctor_broker(struct sl_doctor *doctor);    /* doctor_broker.c */
void sl_doctor_mongo(struct sl_doctor *doctor);     /* doctor_mongo.c */
void sl_doctor_sources(struct sl_doctor *doctor);   /* doctor_sources.c */
void sl_doctor_feeds(struct sl_doctor *doctor);     /* doctor_feeds.c */
void sl_doctor_listeners(struct sl_doctor *doctor); /* doctor_listeners.c */
void sl_doctor_alerts(struct sl_doctor *doctor);    /* doctor_alerts.c */

/* Whether the source's application gets a token. For doctor_dmf.c and doctor_dataverse.c. */
bool sl_doctor_signs_in(struct sl_doctor *doctor, const struct sl_source_config *source,
                        struct sl_oauth *oauth, const struct sl_auth_settings *auth);

/* The organisation whose rows are stored of a dataverse source; "": none is known, or MongoDB is
 * away. Suspends. */
int sl_doctor_organisation(struct sl_doctor *doctor, const char *source,
                           char ret[SL_ORGANISATION_BYTES], struct sl_err *err);

#define SL_DOCTOR_SOURCE_AWAY "is the source's url right, and can this machine reach it?"

/* A dmf source, and what its feeds name there (doctor_dmf.c). */
void sl_doctor_dmf(struct sl_doctor *doctor, const struct sl_source_config *source);

/* The tables of a dataverse source that feeds read, its own ones and those that webhook feeds read
 * back (doctor_dataverse.c). */
void sl_doctor_dataverse(struct sl_doctor *doctor, const struct sl_source_config *source);

/* Whether a collection's validator lets tombstones be (doctor_validator.c). */
struct sl_mongo;
void sl_doctor_validator(struct sl_doctor *doctor, struct sl_mongo *mongo, const char *what,
                         const char *collection);

#endif
