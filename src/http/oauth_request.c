#include "http/oauth_request.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "http/assertion.h"
#include "http/identity.h"

#define AUTHORITY "https://login.microsoftonline.com"
#define JWT_BEARER "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

enum { TIMEOUT_MS = 30 * 1000, REPLY_BYTES_MAX = 256 * 1024 };

static void add_form(struct sl_buf *form, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(NULL, value, 0);
    sl_buf_printf(form, "%s%s=%s", form->length ? "&" : "", name, escaped ? escaped : "");
    if (escaped)
        sl_wipe(escaped, strlen(escaped));
    curl_free(escaped);
}

static void write_url(const struct sl_oauth_settings *settings, struct sl_buf *url)
{
    const char *authority = settings->authority;
    if (!authority || !*authority)
        authority = AUTHORITY;
    size_t length = strlen(authority);
    while (length && authority[length - 1] == '/')
        length--;
    char *escaped = curl_easy_escape(NULL, settings->tenant, 0);
    sl_buf_printf(url, "%.*s/%s/oauth2/v2.0/token", (int)length, authority, escaped ? escaped : "");
    curl_free(escaped);
}

static int add_assertion(const struct sl_oauth_settings *settings, const char *audience,
                         struct sl_buf *form, struct sl_err *err)
{
    struct sl_buf assertion;
    sl_buf_init_secret(&assertion);
    int rc = settings->type == SL_OAUTH_CERTIFICATE
                 ? sl_assertion_sign(settings, audience, &assertion, err)
                 : sl_assertion_read(settings->token_file, &assertion, err);
    if (rc == SL_OK) {
        add_form(form, "client_assertion_type", JWT_BEARER);
        add_form(form, "client_assertion", assertion.data);
    }
    sl_buf_done(&assertion);
    return rc;
}

/* To Entra ID itself. */
static int write_form(struct sl_oauth_request *request, const struct sl_oauth_settings *settings,
                      struct sl_err *err)
{
    struct sl_buf *form = &request->form;
    write_url(settings, &request->url);
    add_form(form, "grant_type", "client_credentials");
    add_form(form, "client_id", settings->client_id);
    add_form(form, "scope", settings->scope);
    if (settings->type != SL_OAUTH_SECRET)
        return add_assertion(settings, request->url.data, form, err);
    add_form(form, "client_secret", settings->client_secret);
    return SL_OK;
}

int sl_oauth_request_init(struct sl_oauth_request *request,
                          const struct sl_oauth_settings *settings, struct sl_err *err)
{
    bool machine = settings->type == SL_OAUTH_IDENTITY;
    int rc = SL_OK;
    memset(request, 0, sizeof *request);
    sl_buf_init(&request->url);
    sl_buf_init_secret(&request->form);
    sl_buf_init_secret(&request->header);
    if (machine)
        sl_identity_write(settings, &request->url, &request->header);
    else
        rc = write_form(request, settings, err);
    request->headers[0] = "Accept: application/json";
    request->headers[1] =
        machine ? request->header.data : "Content-Type: application/x-www-form-urlencoded";
    request->http = (struct sl_http_request){
        .method = machine ? "GET" : "POST",
        .url = request->url.data,
        .headers = request->headers,
        .body = sl_buf_view(&request->form),
        .timeout_ms = TIMEOUT_MS,
        .max_body_bytes = REPLY_BYTES_MAX,
        .secret_answer = true,
        .direct = machine,
    };
    return rc;
}

void sl_oauth_request_done(struct sl_oauth_request *request)
{
    sl_buf_done(&request->url);
    sl_buf_done(&request->form);
    sl_buf_done(&request->header);
}
