#include "ingest/ingest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "ingest/ingest_own.h"

enum {
    STRANGER_EVERY_MS = 60 * 1000,
};

static const char PREFIX[] = "/ingest/";

/* --- who may post --- */

/* What stands behind "Bearer ", or NULL. */
static const char *token_of(const struct sl_http_call *call)
{
    static const char scheme[] = "Bearer ";
    const char *shown = sl_http_call_header(call, "Authorization");
    if (!shown || strncasecmp(shown, scheme, sizeof scheme - 1) != 0)
        return NULL;
    return shown + sizeof scheme - 1;
}

static void note_stranger(struct sl_ingest *ingest, const struct sl_http_call *call)
{
    uint64_t now_ms = sl_loop_now_ms();
    sl_metric_add(ingest->strangers, 1);
    if (ingest->told_ms && now_ms - ingest->told_ms < STRANGER_EVERY_MS)
        return;
    ingest->told_ms = now_ms;
    sl_log(SL_WARN, "a post showed no token that is known (said once a minute at most)",
           SL_T("source", ingest->config->name), SL_T("remote", call->remote));
}

static int authorize(void *ctx, const struct sl_http_call *call)
{
    struct sl_ingest *ingest = ctx;
    const char *shown = token_of(call);
    bool new = sl_secret_equal(shown, ingest->settings->token);
    bool old = sl_secret_equal(shown, ingest->settings->old_token);
    if (new || old)
        return 0;
    note_stranger(ingest, call);
    return 401;
}

int sl_ingest_authorize(void *ctx, const struct sl_http_call *call)
{
    return authorize(((struct sl_ingest_feed *)ctx)->ingest, call);
}

/* What is left of /ingest/: no feed of ours. */
static void answer_unknown(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    const struct sl_ingest *ingest = ctx;
    struct sl_buf text;
    sl_buf_init(&text);
    sl_buf_printf(&text, "there is no feed '%.80s' with source '%s'", call->rest,
                  ingest->config->name);
    reply->status = 404;
    sl_buf_add_text(&reply->body, "{\"error\":");
    sl_buf_add_json_text(&reply->body, text.data);
    sl_buf_add_text(&reply->body, "}\n");
    sl_buf_done(&text);
}

/* --- the environment --- */

struct sl_ingest *sl_ingest_new(const struct sl_ingest_env *env,
                                const struct sl_source_config *source, struct sl_err *err)
{
    struct sl_ingest *ingest = SL_NEW(struct sl_ingest);
    (void)err; /* what can be wrong is found when the listeners start */
    ingest->env = *env;
    ingest->config = source;
    ingest->settings = source->settings;
    snprintf(ingest->process, sizeof ingest->process, "%08" PRIx32 "%04" PRIx32, arc4random(),
             arc4random() & 0xffff);
    ingest->strangers =
        sl_counter("ingest_unauthorized_total", "Posts that showed no token that is known.",
                   "source=\"%s\"", source->name);
    const struct sl_http_route route = {
        .method = "POST",
        .path = PREFIX,
        .prefix = true,
        .authorize = authorize,
        .handler = answer_unknown,
        .ctx = ingest,
        .max_body_bytes = ingest->settings->listen.max_body_bytes,
    };
    sl_listeners_add(env->listeners, source, &route);
    sl_books_start(&ingest->books, "ingest.books");
    return ingest;
}

void sl_ingest_free(struct sl_ingest *ingest)
{
    if (!ingest)
        return;
    sl_books_stop(&ingest->books);
    free(ingest);
}
