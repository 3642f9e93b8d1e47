/* libmongoc on fibers: a mongoc_stream_t over a non-blocking socket whose waits suspend the fiber.
 */
#ifndef SL_MONGO_STREAM_H
#define SL_MONGO_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <mongoc/mongoc.h>

#include "base/err.h"
#include "loop/fiber.h"
#include "loop/tls.h"

/* What the streams of one client share. Lives as long as the client. */
struct sl_mongo_link {
    uint64_t deadline_ms;    /* loop clock: no wait of any stream goes past it */
    bool timed_out;          /* a wait reached the deadline */
    bool cancelled;          /* a wait ended because the fiber was cancelled */
    struct sl_tls *tls;      /* NULL: plain. The driver itself knows nothing of TLS */
    struct sl_err trouble;   /* why a server cannot be had, SL_CONFIG first; 0: none */
    struct sl_fiber *poller; /* waits for several streams, some of which are being opened */
    mongoc_stream_t *heard;  /* the stream that was read from last; NULL: none, or it is closed */
};

/* A mongoc_stream_initiator_t; user_data is the client's struct sl_mongo_link. Gives a stream that
 * is being opened (connect.h), TLS included: until it is open, or has failed, polling it finds
 * nothing. Does not suspend. */
mongoc_stream_t *sl_mongo_connect(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
                                  void *user_data, bson_error_t *error);

/* A stream over fd (connected or connecting, non-blocking); takes fd. Borrows link, which must
 * outlive it. With fd -1, or one that the loop cannot watch, every operation on it fails. */
mongoc_stream_t *sl_mongo_stream_new(int fd, struct sl_mongo_link *link);

/* Waits until there is something to read, at most timeout_ms (negative: no limit but the link's).
 * False, errno set, when nothing came: as a failed read. */
bool sl_mongo_stream_await(mongoc_stream_t *driver, int32_t timeout_ms);

/* While on, every wait fails at once, so that a client can be freed without waiting for its peer.
 * Nothing suspends meanwhile. */
void sl_mongo_rush(bool on);
bool sl_mongo_rushing(void);

/* Makes the driver's own sleeps and key derivation let other fibers run (hooks.c). */
void sl_mongo_hook(mongoc_client_t *client);

/* Before the driver is used: from now on it, and libbson, wipe what they free (hooks.c). */
void sl_mongo_own_memory(void);

#endif
