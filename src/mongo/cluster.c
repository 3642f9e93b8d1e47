#include "mongo/cluster.h"

#include "base/log.h"
#include "mongo/uri.h"

enum {
    ASK_EVERY_MS = 2000,
    FAILED_MS = 500,    /* who waited for the same answer need not ask once more */
    ASK_WAIT_MS = 3000, /* when the last answer will do as well */
};

static void take_members(struct sl_cluster *cluster, mongoc_uri_t *uri)
{
    if (cluster->tls)
        sl_mongo_uri_strip_tls(uri, sl_tls_subject(cluster->tls));
    mongoc_uri_destroy(cluster->members);
    cluster->members = uri;
    cluster->doubted = false;
}

void sl_cluster_init(struct sl_cluster *cluster, mongoc_uri_t *uri, bool by_name,
                     const struct sl_tls *tls)
{
    *cluster = (struct sl_cluster){.tls = tls};
    if (by_name)
        cluster->name = uri;
    else
        take_members(cluster, uri);
}

void sl_cluster_done(struct sl_cluster *cluster)
{
    mongoc_uri_destroy(cluster->members);
    mongoc_uri_destroy(cluster->name);
}

static int ask(struct sl_cluster *cluster, uint64_t deadline_ms)
{
    uint64_t soon_ms = sl_deadline_in(ASK_WAIT_MS);
    if (cluster->members && soon_ms < deadline_ms)
        deadline_ms = soon_ms;
    cluster->trouble = (struct sl_err){0};
    mongoc_uri_t *found = sl_mongo_uri_find(cluster->name, deadline_ms, &cluster->trouble);
    cluster->asked_ms = sl_loop_now_ms();
    if (found)
        take_members(cluster, found);
    else if (!cluster->members || cluster->trouble.code == SL_CANCELED)
        return sl_err_wrap(&cluster->trouble, "MongoDB");
    else if (!cluster->silent)
        sl_log(SL_WARN, "MongoDB's members cannot be looked up anew: those known before are used",
               SL_T("reason", cluster->trouble.message));
    cluster->silent = !found;
    return SL_OK;
}

static bool must_ask(const struct sl_cluster *cluster)
{
    uint64_t age_ms = sl_loop_now_ms() - cluster->asked_ms;
    bool told = cluster->trouble.code == SL_CLOSED; /* not somebody's own deadline, or end */
    if (!cluster->members)
        return !told || age_ms >= FAILED_MS;
    return cluster->doubted && age_ms >= ASK_EVERY_MS;
}

int sl_cluster_find(struct sl_cluster *cluster, uint64_t deadline_ms, struct sl_err *err)
{
    if (!cluster->name)
        return SL_OK;
    int rc = sl_mutex_lock(&cluster->asking, deadline_ms, err);
    if (rc != SL_OK)
        return sl_err_wrap(err, "MongoDB: its members are being looked up");
    if (must_ask(cluster))
        rc = ask(cluster, deadline_ms);
    else if (!cluster->members)
        rc = (int)cluster->trouble.code;
    if (rc != SL_OK)
        *err = cluster->trouble;
    sl_mutex_unlock(&cluster->asking);
    return rc;
}

void sl_cluster_doubt(struct sl_cluster *cluster)
{
    cluster->doubted = true;
}
