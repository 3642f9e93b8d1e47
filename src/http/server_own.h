/* The inside of http/server: what its files share.
 *
 *   server.c          start, stop, the loop
 *   server_link.c     connections, their phases and deadlines
 *   server_request.c  routes, authorisation, bodies, handlers
 *   server_reply.c    answers and counters
 *   server_linger.c   hanging up so that the last answer arrives
 *   server_tls.c      certificate and key
 */
#ifndef SL_HTTP_SERVER_OWN_H
#define SL_HTTP_SERVER_OWN_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

#include <microhttpd.h>

#include "http/server.h"
#include "loop/fiber.h"

struct sl_server_tls;
struct sl_tls_pair;
struct sl_linger;
struct sl_metric;

/* Why a request or a connection was turned away: label "why". */
enum sl_refusal {
    SL_REFUSED_ROUTE,
    SL_REFUSED_METHOD,
    SL_REFUSED_FRAMING,
    SL_REFUSED_AUTHORIZE,
    SL_REFUSED_SIZE,
    SL_REFUSED_RATE,
    SL_REFUSED_MEMORY,
    SL_REFUSED_ADDRESS,
    SL_REFUSED_SLOW,
    SL_REFUSED_STOPPING,
    SL_REFUSALS,
};

/* Where a connection stands. Each phase but HANDLING has a deadline. */
enum sl_phase {
    SL_IDLE,      /* between two requests → RECEIVING */
    SL_RECEIVING, /* a handshake or a request comes in → HANDLING, ANSWERING */
    SL_HANDLING,  /* a fiber works on it; the library has suspended the connection → ANSWERING */
    SL_ANSWERING, /* the answer goes out → IDLE */
};

/* One request, from its headers to the end of its answer. */
struct sl_exchange {
    const struct sl_http_route *route; /* NULL: none fits, status says why */
    unsigned status;
    const char *allow; /* the method that the path knows, for a 405 */
    struct sl_http_call call;
    struct sl_http_reply reply;
    struct sl_buf body;
    size_t body_limit;
    size_t charged_bytes;   /* of the server's pending_bytes */
    struct sl_fiber *fiber; /* NULL: none, not yet or no longer */
    bool whole;             /* the last byte has come */
    bool suspended;         /* by the library, until the handler has ended */
    bool answered;          /* reply is filled */
    bool refused;           /* answered before it had come in */
    char content_type[64];
};

/* One connection. */
struct sl_link {
    struct sl_link *previous, *next;
    struct sl_http_server *server;
    struct MHD_Connection *connection;
    int fd;
    enum sl_phase phase;
    uint64_t entered_ms;      /* the phase */
    uint64_t deadline_ms;     /* to leave it; SL_FOREVER: none */
    bool cut;                 /* we have shut the socket down */
    struct sl_tls_pair *pair; /* shown in its handshake; NULL: none */
    char remote[INET6_ADDRSTRLEN];
    struct sl_exchange exchange;
};

struct sl_http_server {
    struct MHD_Daemon *daemon;
    uv_poll_t *poll;   /* on the daemon's epoll descriptor */
    uv_idle_t *again;  /* runs while the daemon has more to do; a timer would starve the loop */
    uv_timer_t *rest;  /* runs while nobody can be let in */
    uv_timer_t *sweep; /* the earliest deadline of a connection */
    uint64_t sweep_ms; /* when; SL_FOREVER: not set */
    char *name, *listen;
    uint16_t port;
    const struct sl_http_route *routes;
    size_t route_count;
    unsigned max_connections, max_per_address, max_rate;
    unsigned request_timeout_ms, idle_timeout_ms;
    size_t max_pending_bytes, pending_bytes;
    double tokens; /* of max_rate */
    uint64_t tokens_ms;
    struct sl_link *links;
    unsigned link_count;
    unsigned handling, busy;  /* links in HANDLING; in HANDLING or ANSWERING */
    struct sl_waitlist quiet; /* woken when a link changes its phase, and when one has gone */
    bool handed_over;         /* its address, when it stops */
    bool stopping;            /* each answer is the last one of its connection */
    bool over;                /* and says that no request is handled any more */
    bool starved;             /* the library's last run could let nobody in */
    bool shut_out;            /* … and lets nobody in until a connection has gone */
    uint64_t starved_told_ms; /* loop clock; 0: never */
    bool moved;               /* over TLS: something came of the library's last run */
    struct sl_linger *lingers;
    unsigned linger_count;
    struct sl_server_tls *tls; /* NULL: plain */
    struct {
        unsigned status;
        struct sl_metric *metric;
    } answered[16];
    struct sl_metric *refused[SL_REFUSALS];
};

/* --- server.c --- */

/* Has the library run in the loop's next turn: it does not notice by itself that a connection may
 * go on. */
void sl_server_wake(struct sl_http_server *server);

/* --- server_link.c --- */

/* The library's callbacks: may this address connect, a connection came or went, a request line has
 * come. */
enum MHD_Result sl_link_admit(void *ctx, const struct sockaddr *address, socklen_t length);
void sl_link_notify(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
                    enum MHD_ConnectionNotificationCode what);
void *sl_link_requested(void *ctx, const char *uri, struct MHD_Connection *connection);

struct sl_link *sl_link_of(struct MHD_Connection *connection);
void sl_link_enter(struct sl_link *link, enum sl_phase phase);
/* Those that are idle, and may no longer be so for long, end when they have been for a second. */
void sl_link_hurry_idle(struct sl_http_server *server);
/* Hangs up on those that are not busy and of which nothing has come that is still to be read. */
void sl_link_cut_quiet(struct sl_http_server *server);
/* Cancels the fibers of all handlers. */
void sl_link_cancel_all(struct sl_http_server *server);

/* --- server_request.c --- */

enum MHD_Result sl_exchange_step(void *ctx, struct MHD_Connection *connection, const char *path,
                                 const char *method, const char *version, const char *piece,
                                 size_t *piece_size, void **request_ctx);
void sl_exchange_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
                           enum MHD_RequestTerminationCode why);

/* --- server_reply.c --- */

/* Queues the reply; takes its body. */
enum MHD_Result sl_reply_send(struct sl_link *link, struct sl_http_reply *reply, const char *allow);
/* The same for an error without more words than its status. */
enum MHD_Result sl_reply_error(struct sl_link *link, unsigned status, const char *allow);
/* Answers in the middle of a body, where the library cannot, and has the connection closed. */
enum MHD_Result sl_reply_break_off(struct sl_link *link, unsigned status);
void sl_reply_count_refusal(struct sl_http_server *server, enum sl_refusal why);

/* --- server_linger.c --- */

/* Keeps a duplicate of fd until the peer has closed too, so that bytes which nobody will read do
 * not make the kernel reset the connection and with it take the last answer away. */
void sl_linger_begin(struct sl_http_server *server, int fd);
/* True when there are bytes of the peer in the kernel that nobody has read. */
bool sl_linger_needed(int fd);
void sl_linger_end_all(struct sl_http_server *server);

/* --- server_tls.c --- */

extern const char sl_server_tls_priorities[]; /* what GnuTLS may agree to */

/* Loads the pair and watches the files. NULL with SL_CONFIG. */
struct sl_server_tls *sl_server_tls_new(const char *listener, const char *certificate,
                                        const char *key, struct sl_err *err);
void sl_server_tls_free(struct sl_server_tls *tls);
/* A loop turn begins: it may begin so many handshakes again. */
void sl_server_tls_turn(struct sl_server_tls *tls);
/* To be told of each byte that a link moves. */
void sl_server_tls_attach(struct sl_link *link);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK. */
void *sl_server_tls_callback(void);
/* Lets go of a link's pair; NULL is fine. */
void sl_tls_pair_drop(struct sl_tls_pair *pair);

#endif
