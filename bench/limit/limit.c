/* The limit that sluice is measured against: upserts of documents that are ready in memory, by
 * libmongoc, with a thread and a connection each, guarded unless they are plain; or insertions. No
 * source, no broker, no books.
 *
 *   bench-limit URL DATABASE COLLECTION FILE CONNECTIONS ROWS BYTES bulk|plain|insert|command
 *
 * FILE holds BSON documents one after another; a batch has at most ROWS of them and BYTES in all.
 * When every connection is open it starts the clock, and at the end prints one JSON object. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <mongoc/mongoc.h>

#include "documents.h"
#include "upsert.h"

enum { MAX_CONNECTIONS = 64 };

struct options {
    const char *url, *database, *collection, *file;
    unsigned long connections, rows, bytes;
    bool commands; /* built beforehand, instead of the bulk API */
    enum form form;
};

struct job {
    const struct options *options;
    struct documents documents;
    bson_t **commands;
    atomic_size_t next; /* batch to take */
    pthread_barrier_t start;
};

struct worker {
    pthread_t thread;
    struct job *job;
    mongoc_client_t *client;
    int64_t written; /* -1: failed */
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- one connection --- */

static int64_t write_batch(struct worker *worker, mongoc_collection_t *collection, size_t index)
{
    struct job *job = worker->job;
    if (job->commands)
        return upsert_by_command(worker->client, job->options->database, job->commands[index]);
    return write_by_bulk(collection, &job->documents, &job->documents.batches[index],
                         job->options->form);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct job *job = worker->job;
    mongoc_collection_t *collection = mongoc_client_get_collection(
        worker->client, job->options->database, job->options->collection);
    pthread_barrier_wait(&job->start);
    for (;;) {
        size_t index = atomic_fetch_add(&job->next, 1);
        if (index >= job->documents.batch_count)
            break;
        int64_t written = write_batch(worker, collection, index);
        if (written < 0) {
            worker->written = -1;
            break;
        }
        worker->written += written;
    }
    mongoc_collection_destroy(collection);
    return NULL;
}

/* Without retryable writes, whose books cost mongod half as much again: a guarded upsert may simply
 * be sent once more. */
static mongoc_client_t *new_client(const char *url)
{
    mongoc_uri_t *uri = mongoc_uri_new(url);
    if (!uri)
        return NULL;
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false);
    mongoc_client_t *client = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    return client;
}

static mongoc_client_t *connect_client(const struct options *options)
{
    bson_error_t error;
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    mongoc_client_t *client = new_client(options->url);
    bool open = client && mongoc_client_command_simple(client, "admin", ping, NULL, NULL, &error);
    bson_destroy(ping);
    if (!open) {
        fprintf(stderr, "bench-limit: cannot reach MongoDB: %s\n",
                client ? error.message : "the URL is malformed");
        mongoc_client_destroy(client);
        return NULL;
    }
    mongoc_write_concern_t *durable = mongoc_write_concern_new();
    mongoc_write_concern_set_wmajority(durable, 0);
    mongoc_write_concern_set_journal(durable, true);
    mongoc_client_set_write_concern(client, durable);
    mongoc_write_concern_destroy(durable);
    return client;
}

/* --- the whole --- */

static void build_commands(struct job *job)
{
    size_t count = job->documents.batch_count;
    if (!job->options->commands)
        return;
    job->commands = bson_malloc(count * sizeof(bson_t *));
    for (size_t i = 0; i < count; i++)
        job->commands[i] = upsert_command_new(job->options->collection, &job->documents,
                                              &job->documents.batches[i]);
}

static void free_commands(struct job *job)
{
    for (size_t i = 0; job->commands && i < job->documents.batch_count; i++)
        bson_destroy(job->commands[i]);
    bson_free(job->commands);
}

/* Runs all workers. Gives the documents written, or -1. */
static int64_t run(struct job *job, struct worker *workers)
{
    unsigned long count = job->options->connections;
    int64_t written = 0;
    pthread_barrier_init(&job->start, NULL, (unsigned)count + 1);
    for (unsigned long i = 0; i < count; i++) {
        workers[i].job = job;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            abort(); /* no thread for the benchmark: nothing to measure, and the others wait */
    }
    double cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID), begin = seconds(CLOCK_REALTIME);
    pthread_barrier_wait(&job->start);
    for (unsigned long i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        written = written < 0 || workers[i].written < 0 ? -1 : written + workers[i].written;
    }
    double end = seconds(CLOCK_REALTIME);
    cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
    pthread_barrier_destroy(&job->start);

    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("{\"written\": %lld, \"batches\": %zu, \"begin\": %.6f, \"end\": %.6f, "
           "\"cpu_s\": %.6f, \"rss_kib\": %ld}\n",
           (long long)written, job->documents.batch_count, begin, end, cpu_s, use.ru_maxrss);
    return written;
}

static bool measure(const struct options *options)
{
    struct job job = {.options = options};
    struct worker workers[MAX_CONNECTIONS] = {0};
    bool ok = documents_load(&job.documents, options->file, options->rows, options->bytes);
    if (ok)
        build_commands(&job);
    for (unsigned long i = 0; ok && i < options->connections; i++)
        ok = (workers[i].client = connect_client(options)) != NULL;
    if (ok)
        ok = run(&job, workers) >= 0;
    for (unsigned long i = 0; i < options->connections; i++)
        mongoc_client_destroy(workers[i].client);
    free_commands(&job);
    documents_free(&job.documents);
    return ok;
}

static bool read_options(struct options *options, int argc, char **argv)
{
    if (argc != 9)
        return false;
    static const char *const forms[] = {"bulk", "plain", "insert", "command"};
    size_t form = 0;
    while (form < 4 && strcmp(argv[8], forms[form]) != 0)
        form++;
    *options = (struct options){
        .url = argv[1],
        .database = argv[2],
        .collection = argv[3],
        .file = argv[4],
        .connections = strtoul(argv[5], NULL, 10),
        .rows = strtoul(argv[6], NULL, 10),
        .bytes = strtoul(argv[7], NULL, 10),
        .commands = form == 3,
        .form = form == 1   ? PLAIN
                : form == 2 ? INSERT
                            : GUARDED,
    };
    return options->connections >= 1 && options->connections <= MAX_CONNECTIONS &&
           options->rows >= 1 && options->bytes >= 1 && form < 4;
}

int main(int argc, char **argv)
{
    struct options options;
    if (!read_options(&options, argc, argv)) {
        fprintf(stderr, "usage: bench-limit URL DATABASE COLLECTION FILE CONNECTIONS ROWS BYTES "
                        "bulk|plain|insert|command\n");
        return 2;
    }
    mongoc_init();
    bool ok = measure(&options);
    mongoc_cleanup();
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
