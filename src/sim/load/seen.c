/* When documents can be read in MongoDB: a change stream tells what a majority of the replica set
 * has stored. All events are kept, and the changes find theirs when all is over. */
#include "sim/load/load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mongoc/mongoc.h>

#define AWAIT_MS 100
#define LOOK_NS 20000000

struct event {
    char id[LOAD_ID_SIZE];
    int64_t version, at_ns;
};

struct load_seen {
    const struct load_options *options;
    mongoc_client_t *client;
    mongoc_database_t *database;
    mongoc_change_stream_t *stream;
    pthread_t thread;
    pthread_mutex_t lock;
    atomic_bool stop;
    bool broken;
    struct event *events; /* under the lock */
    size_t count, room;
};

/* --- the thread --- */

static bool find(const bson_t *event, const char *path, bson_iter_t *ret)
{
    bson_iter_t at;
    return bson_iter_init(&at, event) && bson_iter_find_descendant(&at, path, ret);
}

/* The member of that document whose name has a dot in it. */
static int64_t dotted(const bson_t *event)
{
    bson_iter_t fields;
    if (find(event, "updateDescription.updatedFields", &fields) &&
        BSON_ITER_HOLDS_DOCUMENT(&fields) && bson_iter_recurse(&fields, &fields) &&
        bson_iter_find(&fields, "_sluice.v"))
        return bson_iter_as_int64(&fields);
    return 0;
}

static int64_t version_of(const bson_t *event)
{
    bson_iter_t at;
    if (find(event, "fullDocument._sluice.v", &at) ||
        find(event, "updateDescription.updatedFields._sluice.v", &at))
        return bson_iter_as_int64(&at);
    return dotted(event);
}

static void take(struct load_seen *seen, const bson_t *document)
{
    bson_iter_t id;
    struct event event = {.at_ns = load_now_ns()};
    if (!find(document, "documentKey._id", &id) || !BSON_ITER_HOLDS_UTF8(&id))
        return;
    sim_copy(event.id, sizeof(event.id), bson_iter_utf8(&id, NULL));
    event.version = version_of(document);
    pthread_mutex_lock(&seen->lock);
    if (seen->count == seen->room) {
        seen->room = seen->room ? seen->room * 2 : 1024;
        seen->events = sim_realloc(seen->events, seen->room * sizeof(*seen->events));
    }
    seen->events[seen->count++] = event;
    pthread_mutex_unlock(&seen->lock);
}

static bool broke_off(const struct load_seen *seen)
{
    bson_error_t error;
    const bson_t *reply;
    if (!mongoc_change_stream_error_document(seen->stream, &error, &reply))
        return false;
    fprintf(stderr, "sluice-sim load: the change stream of MongoDB: %s\n", error.message);
    return true;
}

static void *listen_to(void *arg)
{
    struct load_seen *seen = arg;
    const bson_t *document;
    while (!atomic_load(&seen->stop) && !seen->broken)
        if (mongoc_change_stream_next(seen->stream, &document))
            take(seen, document);
        else
            seen->broken = broke_off(seen);
    return NULL;
}

static void seen_free(struct load_seen *seen)
{
    if (seen->stream)
        mongoc_change_stream_destroy(seen->stream);
    if (seen->database)
        mongoc_database_destroy(seen->database);
    if (seen->client)
        mongoc_client_destroy(seen->client);
    pthread_mutex_destroy(&seen->lock);
    free(seen->events);
    free(seen);
    mongoc_cleanup();
}

struct load_seen *load_seen_start(const struct load_options *options)
{
    bson_error_t error = {0};
    struct load_seen *seen = sim_alloc(sizeof(*seen));
    mongoc_init();
    seen->options = options;
    pthread_mutex_init(&seen->lock, NULL);
    mongoc_uri_t *uri = mongoc_uri_new_with_error(options->mongo, &error);
    seen->client = uri ? mongoc_client_new_from_uri_with_error(uri, &error) : NULL;
    mongoc_uri_destroy(uri);
    if (seen->client) {
        bson_t pipeline = BSON_INITIALIZER;
        bson_t *ways = BCON_NEW("maxAwaitTimeMS", BCON_INT64(AWAIT_MS));
        mongoc_client_set_error_api(seen->client, MONGOC_ERROR_API_VERSION_2);
        seen->database = mongoc_client_get_database(seen->client, options->database);
        seen->stream = mongoc_database_watch(seen->database, &pipeline, ways);
        bson_destroy(ways);
        bson_destroy(&pipeline);
    } else {
        fprintf(stderr, "sluice-sim load: --mongo: %s\n", error.message);
    }
    if (seen->stream && !broke_off(seen) &&
        pthread_create(&seen->thread, NULL, listen_to, seen) == 0)
        return seen;
    seen_free(seen);
    return NULL;
}

/* --- the end --- */

static int by_id(const void *a, const void *b)
{
    const struct event *one = a, *other = b;
    int order = strcmp(one->id, other->id);
    return order ? order : (one->at_ns > other->at_ns) - (one->at_ns < other->at_ns);
}

/* The first of the events of that id; count: there are none. */
static size_t first_of(const struct event *events, size_t count, const char *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(events[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many were seen, of those that were answered well; *ret_made is their number. */
static uint64_t match(struct load_run *run, struct event *events, size_t count, uint64_t *ret_made)
{
    uint64_t seen = 0;
    *ret_made = 0;
    if (count)
        qsort(events, count, sizeof(*events), by_id);
    for (uint64_t i = 0; i < run->options->count; i++) {
        struct load_change *change = &run->changes[i];
        if (!*change->id || !change->answered_ns)
            continue;
        ++*ret_made;
        size_t at = first_of(events, count, change->id);
        while (at < count && !strcmp(events[at].id, change->id) &&
               events[at].version < change->version)
            at++;
        if (at < count && !strcmp(events[at].id, change->id)) {
            change->seen_ns = events[at].at_ns;
            seen++;
        }
    }
    return seen;
}

/* Matches what has come so far; true when nothing is missing. */
static bool have_all(struct load_seen *seen, struct load_run *run)
{
    uint64_t made;
    pthread_mutex_lock(&seen->lock);
    size_t count = seen->count;
    struct event *events = sim_alloc((count + 1) * sizeof(*events));
    if (count)
        memcpy(events, seen->events, count * sizeof(*events));
    pthread_mutex_unlock(&seen->lock);
    bool all = match(run, events, count, &made) == made;
    free(events);
    return all;
}

bool load_seen_end(struct load_seen *seen, struct load_run *run, uint64_t wait_ms)
{
    int64_t until_ns = load_now_ns() + (int64_t)wait_ms * 1000000, pause_ns = LOOK_NS;
    while (!have_all(seen, run) && !seen->broken && load_now_ns() < until_ns) {
        struct timespec pause = {.tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000};
        nanosleep(&pause, NULL);
        if (pause_ns < 1000000000)
            pause_ns *= 2; /* matching millions takes its time */
    }
    atomic_store(&seen->stop, true);
    pthread_join(seen->thread, NULL);
    have_all(seen, run);
    bool good = !seen->broken;
    seen_free(seen);
    return good;
}
