/* sluice status: asks the running process for /status and shows it to a person. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/registry.h"
#include "cli/status_latency.h"
#include "cli/status_text.h"
#include "config/config.h"
#include "config/settings.h"
#include "http/client.h"
#include "loop/dns.h"
#include "loop/fiber.h"

enum { TIMEOUT_MS = 10 * 1000, URL_BYTES = 300 };

struct asking {
    char url[URL_BYTES];
    char *token; /* secret; NULL: none */
    struct sl_http_response response;
    int rc;
    struct sl_err err;
};

static void ask(void *arg)
{
    struct asking *asking = arg;
    const struct sl_http_options options = {.version = SLUICE_VERSION};
    const struct sl_http_request request = {
        .url = asking->url, .timeout_ms = TIMEOUT_MS, .bearer = asking->token};
    struct sl_http *http = sl_http_new(&options, &asking->err);
    asking->rc = SL_CONFIG;
    if (http)
        asking->rc = sl_http_request(http, &request, &asking->response, &asking->err);
    sl_http_free(http);
}

/* Where to ask: an address that means every interface is reached at this machine's own. */
static void make_url(const char *listen, char out[URL_BYTES])
{
    const char *port = strrchr(listen, ':');
    size_t host = port ? (size_t)(port - listen) : 0;
    bool any = !host || (host == 1 && *listen == '*') || !strncmp(listen, "0.0.0.0:", 8);
    if (any)
        snprintf(out, URL_BYTES, "http://127.0.0.1%s/status", port ? port : "");
    else if (!strncmp(listen, "[::]:", 5))
        snprintf(out, URL_BYTES, "http://[::1]%s/status", port);
    else
        snprintf(out, URL_BYTES, "http://%s/status", listen);
}

/* Reads ops of the configuration, and nothing else of it. */
static bool find_place(const struct sl_options *options, struct asking *ret)
{
    struct sl_err err;
    struct sl_problems problems;
    struct sl_ops_settings ops = {0};
    const struct sl_config_section *section = sl_registry_section("ops");
    const char *path = sl_options_config(options, &err);
    if (!path) {
        fprintf(stderr, "sluice: %s\n", err.message);
        return false;
    }
    sl_problems_init(&problems);
    bool found = sl_config_load_section(path, section, &ops, &problems) == SL_OK;
    sl_problems_print(&problems, stderr);
    if (found && (!ops.listen || !*ops.listen)) {
        fprintf(stderr, "sluice: ops.listen of %s is empty: there is nobody to ask\n", path);
        found = false;
    }
    if (found) {
        make_url(ops.listen, ret->url);
        ret->token = ops.token;
        ops.token = NULL;
    }
    sl_settings_done(section->table, &ops);
    sl_problems_done(&problems);
    return found;
}

static void print(const struct asking *asking, const struct sl_json *status,
                  const struct sl_options *options)
{
    if (options->json)
        fwrite(asking->response.body, 1, asking->response.length, stdout);
    else if (options->latency)
        sl_status_latency(sl_json_get(status, "latency"), true, stdout);
    else
        sl_status_text(status, stdout);
}

/* Shows the answer. Returns the exit status. */
static int show(const struct asking *asking, const struct sl_options *options)
{
    struct sl_err err;
    struct sl_json_doc *doc;
    const struct sl_http_response *response = &asking->response;
    if (asking->rc != SL_OK) {
        fprintf(stderr,
                "sluice: nobody answers at %s: %s; is sluice running with this configuration?\n",
                asking->url, asking->err.message);
        return SL_EXIT_FAILED;
    }
    if (response->status == 401) {
        fprintf(stderr, "sluice: the sluice at %s has another ops.token than this configuration\n",
                asking->url);
        return SL_EXIT_FAILED;
    }
    if (response->status != 200 ||
        sl_json_parse(response->body, response->length, NULL, &doc, &err) != SL_OK) {
        fprintf(stderr, "sluice: what answers at %s is not sluice (status %d)\n", asking->url,
                response->status);
        return SL_EXIT_FAILED;
    }
    const struct sl_json *ready = sl_json_get(sl_json_root(doc), "ready");
    int status = ready && ready->kind == SL_JSON_BOOL && ready->truth ? SL_EXIT_OK : SL_EXIT_FAILED;
    print(asking, sl_json_root(doc), options);
    sl_json_free(doc);
    return status;
}

int sl_cmd_status(const struct sl_options *options)
{
    struct asking asking = {0};
    if (!find_place(options, &asking))
        return SL_EXIT_FAILED;
    sl_fiber_spawn("status", ask, &asking);
    sl_loop_run();
    int status = show(&asking, options);
    sl_http_response_done(&asking.response);
    if (asking.token)
        sl_wipe(asking.token, strlen(asking.token));
    free(asking.token);
    sl_dns_close();
    sl_loop_close();
    return status;
}
