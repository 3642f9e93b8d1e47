/* HTTP: the daemon, the bodies of requests, and the way of each path to its module. */
#include "sim/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/blob.h"
#include "sim/control.h"
#include "sim/dataverse/dataverse.h"
#include "sim/dataverse/serve.h"
#include "sim/dmf.h"
#include "sim/identity.h"
#include "sim/token.h"

#define BODY_MAX (64u << 20)
#define THREAD_STACK_BYTES (1u << 20)

const char *sim_http_header(const struct sim_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *sim_http_argument(const struct sim_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

enum MHD_Result sim_http_send(struct sim_request *request, unsigned status,
                              struct MHD_Response *response)
{
    sim_lock(request->sim);
    sim_stats_request(&request->sim->stats, request->action, status);
    sim_unlock(request->sim);
    enum MHD_Result rc = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return rc;
}

enum MHD_Result sim_http_answer(struct sim_request *request, unsigned status, const char *type,
                                struct sim_text *body, const struct sim_header *headers)
{
    struct sim_text none = {0};
    if (!body)
        body = &none;
    sim_text_reserve(body, 0);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_FREE);
    *body = (struct sim_text){0};
    if (type)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    for (; headers && headers->name; headers++)
        MHD_add_response_header(response, headers->name, headers->value);
    return sim_http_send(request, status, response);
}

static enum MHD_Result answer_token(struct sim_request *request)
{
    static const char suffix[] = "/oauth2/v2.0/token";
    struct sim *sim = request->sim;
    char tenant[128] = "";
    size_t len = strlen(request->path) - strlen(suffix);
    if (len >= 1 && len - 1 < sizeof(tenant))
        memcpy(tenant, request->path + 1, len - 1);
    request->action = "token";

    sim_lock(sim);
    int64_t delay_ms = sim_switch_number(sim_switch_view(sim, NULL), SW_DELAY_MS);
    sim_unlock(sim);
    if (delay_ms > 0)
        sim_sleep(sim, delay_ms);

    const char *host = sim_http_header(request, MHD_HTTP_HEADER_HOST);
    sim_text_reserve(&request->body, 0);
    struct sim_token_request asked = {tenant, host ? host : sim->authority, request->body.data,
                                      request->body.len};
    struct sim_text out = {0};
    sim_lock(sim);
    unsigned status = sim_token_answer(sim, &asked, &out);
    sim_unlock(sim);
    return sim_http_answer(request, status, "application/json; charset=utf-8", &out,
                           (struct sim_header[]){
                               {"Cache-Control", "no-store, no-cache"},
                               {0              }
    });
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static enum MHD_Result route(struct sim_request *request)
{
    static const char on_premises[] = "/namespaces/AXSF";
    const char *path = request->path;
    if (strncmp(path, "/_sim/", 6) == 0)
        return sim_control_serve(request);
    if (strncmp(path, DV_API, strlen(DV_API)) == 0)
        return dv_serve(request);
    if (strncmp(path, "/dmf/", 5) == 0)
        return sim_blob_serve(request);
    if (ends_with(path, "/oauth2/v2.0/token") && strcmp(request->method, "POST") == 0)
        return answer_token(request);
    if (strcmp(request->method, "GET") == 0 &&
        (strcmp(path, SIM_IDENTITY_METADATA) == 0 || strcmp(path, SIM_IDENTITY_APP) == 0))
        return sim_identity_serve(request);
    if (strncmp(path, on_premises, strlen(on_premises)) == 0)
        request->path = path = path + strlen(on_premises);
    if (strncmp(path, "/data/", 6) == 0)
        return sim_dmf_serve(request);
    request->action = "other";
    sim_lock(request->sim);
    sim_token_note_stranger(request->sim, sim_http_header(request, MHD_HTTP_HEADER_AUTHORIZATION));
    sim_unlock(request->sim);
    return sim_http_answer(request, 404, NULL, NULL, NULL);
}

/* libmicrohttpd calls once with the head, once for each piece of the body, once at its end. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **state)
{
    (void)version;
    struct sim_request *request = *state;
    if (!request) {
        request = sim_alloc(sizeof(*request));
        request->sim = cls;
        request->connection = connection;
        *state = request;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        if (request->body.len + *upload_len > BODY_MAX)
            return MHD_NO; /* closes the connection */
        sim_text_add(&request->body, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    request->method = method;
    request->path = url;
    return route(request);
}

static void request_done(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)connection;
    struct sim *sim = cls;
    struct sim_request *request = *state;
    if (!request)
        return;
    if (request->download) {
        sim_lock(sim);
        sim_stats_download_end(&sim->stats, request->download,
                               code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
        sim_unlock(sim);
    }
    sim_text_done(&request->body);
    free(request);
    *state = NULL;
}

/* A listening socket of our own, so that the port is known before the first request comes in. */
static int listen_on(struct sim *sim)
{
    struct sim_options *options = &sim->options;
    const char *host = strcmp(options->host, "localhost") == 0 ? "127.0.0.1" : options->host;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    socklen_t len = sizeof(address);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "sluice-sim: --listen wants an IPv4 address, not '%s'\n", options->host);
        return -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        fprintf(stderr, "sluice-sim: cannot listen on %s:%u: %s\n", options->host, options->port,
                strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    options->port = ntohs(address.sin_port);
    snprintf(sim->authority, sizeof(sim->authority), "%s:%u", options->host, options->port);
    return fd;
}

bool sim_http_start(struct sim *sim)
{
    int fd = listen_on(sim);
    if (fd < 0)
        return false;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, sim, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, request_done, sim, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)THREAD_STACK_BYTES, MHD_OPTION_CONNECTION_LIMIT, 4096u, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "sluice-sim: cannot start its HTTP server on %s\n", sim->authority);
        close(fd);
        return false;
    }
    sim_lock(sim);
    sim->daemon = daemon;
    sim_unlock(sim);
    return true;
}

void sim_http_stop(struct sim *sim)
{
    if (sim->daemon)
        MHD_stop_daemon(sim->daemon);
    sim->daemon = NULL;
}
