/* The inside of the webhooks: registrations, the queue, and what is counted. */
#ifndef SIM_DATAVERSE_HOOK_OWN_H
#define SIM_DATAVERSE_HOOK_OWN_H

#include <pthread.h>

#include "sim/dataverse/dataverse.h"
#include "sim/dataverse/hook.h"

#define DV_HOOK_URL_SIZE 1024
#define DV_HOOK_HEADER_SIZE 512
#define DV_HOOK_LIST_SIZE 1024

struct dv_hook {
    struct dv_hook *next;
    unsigned number;
    char url[DV_HOOK_URL_SIZE];       /* as it was registered */
    char full_url[DV_HOOK_URL_SIZE];  /* with the secret, when that is in the query */
    char header[DV_HOOK_HEADER_SIZE]; /* "Name: value" of the secret; "" for none */
    char tables[DV_HOOK_LIST_SIZE];   /* ",account,contact,"; "" for all */
    char messages[DV_HOOK_LIST_SIZE]; /* ",Create,Update,"; "" for all */
};

#define DV_HOOK_STATUSES 16

struct dv_hook_counters {
    uint64_t queued;
    uint64_t sent; /* posts begun, retries included */
    uint64_t lost;
    uint64_t doubled;
    uint64_t rolled_back;
    uint64_t oversize;
    uint64_t retried;
    uint64_t delivered;
    uint64_t failed; /* for good */
    struct {
        long status; /* 0: no answer */
        uint64_t count;
    } answers[DV_HOOK_STATUSES];
};

struct dv_hooks {
    struct dv *dv;
    struct dv_hook *list;
    unsigned last_number;
    struct dv_post **queue; /* a heap, the one that is due first on top */
    size_t queue_count;
    size_t queue_capacity;
    uint64_t serial;
    uint64_t random;
    unsigned in_flight;
    uint64_t epoch; /* counts resets: the sender gives up the posts of an older one */
    pthread_t sender;
    bool stop;
    struct dv_hook_counters counters;
    void *multi; /* the sender's libcurl handle; NULL: there is no sender yet */
};

/* The queue; the lock is held. */
void dv_queue_push(struct dv_hooks *hooks, struct dv_post *post);
struct dv_post *dv_queue_pop(struct dv_hooks *hooks, int64_t now_ms); /* NULL: nothing is due */
int64_t dv_queue_wait_ms(const struct dv_hooks *hooks, int64_t now_ms, int64_t most_ms);

/* Starts the sender unless it runs; the lock is held. False when it cannot. */
bool dv_sender_start(struct dv_hooks *hooks);

#endif
