#include "source/ingest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "source/ingest_own.h"

enum {
    STRANGER_EVERY_MS = 60 * 1000,
    BOOKS_RETRY_MS = 500,
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

/* --- the books --- */

void sl_ingest_stir(struct sl_ingest *ingest)
{
    ingest->stirred = true;
    sl_wake_all(&ingest->stir);
}

static void sooner(uint64_t *wait_ms, uint64_t other_ms)
{
    if (other_ms < *wait_ms)
        *wait_ms = other_ms;
}

static void keep_feed(struct sl_ingest_feed *feed, uint64_t *wait_ms)
{
    struct sl_err err = {0};
    uint64_t next_ms;
    sl_ingest_end_run(feed);
    if (sl_journal_is_open(feed->journal)) {
        uint64_t due_ms = feed->run_began_ms + feed->settings->run_span_ms;
        uint64_t retry_ms = sl_deadline_in(BOOKS_RETRY_MS);
        sooner(wait_ms, due_ms > sl_loop_now_ms() ? due_ms : retry_ms);
    }
    int rc = sl_journal_keep(feed->journal, &next_ms, &err);
    if (rc != SL_OK && rc != SL_CANCELED) {
        sl_log(SL_DEBUG, "cannot keep the books, will try again", SL_T("feed", feed->config->name),
               SL_T("error", err.message));
        next_ms = sl_deadline_in(BOOKS_RETRY_MS);
    }
    sooner(wait_ms, next_ms);
}

static void keep_books(void *arg)
{
    struct sl_ingest *ingest = arg;
    for (;;) {
        uint64_t wait_ms = SL_FOREVER;
        ingest->stirred = false;
        for (struct sl_ingest_feed *feed = ingest->feeds; feed; feed = feed->next) {
            ingest->keeping = feed;
            keep_feed(feed, &wait_ms);
            ingest->keeping = NULL;
            sl_wake_all(&ingest->kept);
            if (sl_fiber_cancelled())
                return;
        }
        while (!ingest->stirred) {
            int rc = sl_wait(&ingest->stir, wait_ms);
            if (rc == SL_CANCELED)
                return;
            if (rc == SL_TIMEOUT)
                break;
        }
    }
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
    snprintf(ingest->process, sizeof ingest->process, "%06" PRIx32, arc4random() & 0xffffff);
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
    ingest->books = sl_fiber_spawn_joinable("ingest.books", keep_books, ingest);
    return ingest;
}

void sl_ingest_free(struct sl_ingest *ingest)
{
    if (!ingest)
        return;
    sl_fiber_cancel(ingest->books);
    sl_fiber_join(ingest->books);
    free(ingest);
}
