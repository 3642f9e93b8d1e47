/* Webhooks: who is told of which changes, and the posts that wait, run and have ended. One
 * thread sends them all, many at a time, from the first registration to the simulator's end.
 * Source: "Use webhooks to create external handlers", "Register a webhook". */
#ifndef SIM_DATAVERSE_HOOK_H
#define SIM_DATAVERSE_HOOK_H

#include <yajl/yajl_tree.h>

#include "sim/dataverse/table.h"
#include "sim/text.h"

struct dv;
struct dv_hooks;

/* What a webhook may be told of. */
struct dv_news {
    enum dv_op op;
    struct dv_image image;
    const struct dv_schema *related_schema; /* of (dis)associations */
    uint32_t related;
    char relation[DV_NAME_SIZE];
    int64_t time_ms;
};

/* One post, complete enough to be written without the lock. */
struct dv_post {
    struct dv_news news;
    uint64_t serial;  /* its ids follow from it */
    unsigned hook;    /* the webhook's number */
    bool rolled_back; /* of a change that did not last */
    bool oversize;    /* the context is said to be too large */
    unsigned tries;
    int64_t due_ms; /* steady clock */
};

/* Ends the sender and waits for it. Wants the simulator's lock free; all other calls want it held.
 */
void dv_hooks_stop(struct dv_hooks *hooks);

struct dv_hooks *dv_hooks_new(struct dv *dv);
void dv_hooks_free(struct dv_hooks *hooks);
void dv_hooks_clear(struct dv_hooks *hooks);

/* Registers a webhook as POST /_sim/dv/webhook describes it. 0, with the reason in problem, when it
 * is wrong; else its number. */
unsigned dv_hooks_add(struct dv_hooks *hooks, yajl_val body, char *problem, size_t size);
bool dv_hooks_remove(struct dv_hooks *hooks, unsigned number);

/* Queues the posts of a change for every webhook that wants it. */
void dv_hooks_tell(struct dv_hooks *hooks, const struct dv_news *news);

/* Wakes the sender: there is something to send, or to give up. */
void dv_hooks_wake(struct dv_hooks *hooks);

/* Adds {"webhooks":[…],"sent":…,…}. */
void dv_hooks_describe(const struct dv_hooks *hooks, struct sim_text *out);

/* The name of the message that an event carries, e.g. "Update"; needs no lock. */
const char *dv_post_message(const struct dv_post *post);

/* Writes the RemoteExecutionContext of a post; needs no lock. */
void dv_post_write(const struct dv_post *post, uint64_t seed, struct sim_text *out);

#endif
