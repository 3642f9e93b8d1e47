/* Whom to connect to: the members that the configuration names, or those that DNS names when it
 * has the name of a cluster (mongodb+srv). */
#ifndef SL_MONGO_CLUSTER_H
#define SL_MONGO_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include <mongoc/mongoc.h>

#include "base/err.h"
#include "loop/fiber.h"
#include "loop/tls.h"

struct sl_cluster {
    mongoc_uri_t *members; /* NULL: DNS has not been asked */
    mongoc_uri_t *name;    /* NULL: the members are configured */
    const struct sl_tls *tls;
    uint64_t asked_ms; /* loop clock */
    bool doubted;      /* the members known may be none any more */
    bool silent;       /* DNS, when it was asked last */
    struct sl_err trouble;
    struct sl_mutex asking;
};

/* Takes uri (sl_mongo_uri_new); by_name: it was made of mongodb+srv. tls (NULL: plain) outlives it.
 */
void sl_cluster_init(struct sl_cluster *cluster, mongoc_uri_t *uri, bool by_name,
                     const struct sl_tls *tls);
void sl_cluster_done(struct sl_cluster *cluster);

/* SL_OK: cluster->members is what to connect to. Suspends when DNS is asked, at most until
 * deadline_ms: the first time, and when the members are doubted, at most every two seconds. While
 * DNS is silent then, the last ones stay. Else SL_CLOSED, SL_TIMEOUT, SL_CANCELED, or SL_CONFIG
 * when what DNS says is no connection string. */
int sl_cluster_find(struct sl_cluster *cluster, uint64_t deadline_ms, struct sl_err *err);

/* After a connection, or the primary, was lost: the members may have other names now. */
void sl_cluster_doubt(struct sl_cluster *cluster);

#endif
