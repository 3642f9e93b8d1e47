#include "ops/ops.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "http/server.h"
#include "ops/prometheus.h"
#include "ops/ready.h"

const struct sl_setting sl_ops_table[] = {
    {.name = "listen",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct sl_ops_settings, listen),
     .fallback = "127.0.0.1:9464",
     .help = "host:port of /healthz, /readyz, /metrics and /status; empty: none"},
    {.name = "token",
     .kind = SL_SET_SECRET,
     .offset = offsetof(struct sl_ops_settings, token),
     .help = "who reads /metrics, /status and the reasons of /readyz shows it, as Authorization: "
             "Bearer; without it everybody may who reaches the address"},
    {0             },
};

static void healthz(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);
static void readyz(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);
static void metrics(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);
static void status(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);

static int authorize(void *ctx, const struct sl_http_call *call);

static const struct sl_http_route routes[] = {
    {.method = "GET", .path = "/healthz", .authorize = NULL,      .handler = healthz},
    {.method = "GET", .path = "/readyz",  .authorize = NULL,      .handler = readyz },
    {.method = "GET", .path = "/metrics", .authorize = authorize, .handler = metrics},
    {.method = "GET", .path = "/status",  .authorize = authorize, .handler = status },
};
enum { ROUTES = sizeof routes / sizeof *routes };

struct sl_ops {
    struct sl_http_server *server; /* NULL: none wanted */
    struct sl_http_route routes[ROUTES];
    struct sl_about about;
    char *version, *role;
    char *token; /* secret; NULL: none needed */
};

static bool may_read(const struct sl_ops *ops, const struct sl_http_call *call)
{
    static const char SCHEME[] = "Bearer ";
    const char *shown = sl_http_call_header(call, "Authorization");
    if (!ops->token)
        return true;
    return shown && !strncasecmp(shown, SCHEME, sizeof SCHEME - 1) &&
           sl_secret_equal(shown + sizeof SCHEME - 1, ops->token);
}

static int authorize(void *ctx, const struct sl_http_call *call)
{
    return may_read(ctx, call) ? 0 : 401;
}

/* That it answers is the proof: the loop turns. */
static void healthz(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx, (void)call;
    sl_buf_add_text(&reply->body, "{\"healthy\":true}\n");
}

static void readyz(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    struct sl_buf trouble;
    sl_buf_init(&trouble);
    if (sl_ready_ask(&trouble)) {
        sl_buf_add_text(&reply->body, "{\"ready\":true}\n");
    } else {
        reply->status = 503; /* reasons name hosts and users */
        if (may_read(ctx, call))
            sl_buf_printf(&reply->body, "{\"ready\":false,\"trouble\":%s}\n", trouble.data);
        else
            sl_buf_add_text(&reply->body, "{\"ready\":false}\n");
    }
    sl_buf_done(&trouble);
}

static void metrics(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    const struct sl_ops *ops = ctx;
    (void)call;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    sl_buf_printf(&reply->body,
                  "# HELP sluice_build_info Version and role of this process.\n"
                  "# TYPE sluice_build_info gauge\n"
                  "sluice_build_info{version=\"%s\",role=\"%s\"} 1\n",
                  ops->about.version, ops->about.role);
    sl_ready_metrics(&reply->body);
    sl_prometheus_metrics(&reply->body);
    sl_prometheus_process(&reply->body);
}

static void status(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    const struct sl_ops *ops = ctx;
    (void)call;
    sl_status_write(&reply->body, &ops->about);
}

static int listen_on(struct sl_ops *ops, const char *listen, struct sl_err *err)
{
    for (unsigned i = 0; i < ROUTES; i++) {
        ops->routes[i] = routes[i];
        ops->routes[i].ctx = ops;
    }
    const struct sl_http_server_options options = {
        .name = "ops", .listen = listen, .routes = ops->routes, .route_count = ROUTES};
    ops->server = sl_http_server_start(&options, err);
    return ops->server ? SL_OK : sl_err_wrap(err, "ops.listen");
}

struct sl_ops *sl_ops_start(const struct sl_ops_settings *settings, const struct sl_about *about,
                            struct sl_err *err)
{
    struct sl_ops *ops = SL_NEW(struct sl_ops);
    ops->version = sl_strdup(about->version);
    ops->role = sl_strdup(about->role);
    ops->token = settings->token ? sl_strdup(settings->token) : NULL;
    ops->about = (struct sl_about){ops->version, ops->role, about->started_ms};
    if (settings->listen && *settings->listen && listen_on(ops, settings->listen, err) != SL_OK) {
        sl_ops_stop(ops);
        return NULL;
    }
    return ops;
}

uint16_t sl_ops_port(const struct sl_ops *ops)
{
    return ops->server ? sl_http_server_port(ops->server) : 0;
}

void sl_ops_stop(struct sl_ops *ops)
{
    if (!ops)
        return;
    sl_http_server_stop(ops->server, 0);
    if (ops->token)
        sl_wipe(ops->token, strlen(ops->token));
    free(ops->token);
    free(ops->version);
    free(ops->role);
    free(ops);
}
