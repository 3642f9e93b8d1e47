/* One post, from its body to its answer. All of it is read before any of it is taken: the body is
 * read twice, which costs less memory than keeping its rows.
 *
 *     check ──wrong──► 400
 *       │ versions by arrival (while the state gives some)
 *       ▼
 *      add ──not a row could be added──► 503, behind
 *       │    ──some could──► 503, unsure
 *       ▼
 *     await ──a batch came back, nothing moves, too long──► 503, unsure
 *       │
 *       ▼
 *      202 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/kill_point.h"
#include "ingest/ingest_own.h"

enum { RETRY_AFTER_S = 1 };

/* A post under way. */
struct posting {
    struct sl_ingest_feed *feed;
    struct sl_ingest_post post;
    bool inside;     /* it holds the feed's `adding` */
    uint64_t rows;   /* in the body */
    int64_t version; /* of the next row, when versions come by arrival */
    int64_t changed_at_ms;
    char run[SL_NAME_MAX], first_run[SL_NAME_MAX]; /* of the last row, and of the first */
};

/* --- answers --- */

static void count(struct sl_ingest_feed *feed, enum sl_ingest_outcome outcome)
{
    sl_metric_add(feed->outcomes[outcome], 1);
}

static void answer_error(struct sl_http_reply *reply, int status, const char *text)
{
    reply->status = status;
    sl_buf_add_text(&reply->body, "{\"error\":");
    sl_buf_add_json_text(&reply->body, text);
    sl_buf_add_text(&reply->body, "}\n");
}

static void refuse_type(struct sl_ingest_feed *feed, struct sl_http_reply *reply, const char *what,
                        const char *given)
{
    char text[240];
    snprintf(text, sizeof text,
             "%s '%.60s' is not taken: send application/json, application/x-ndjson or text/csv, "
             "uncompressed",
             what, given);
    count(feed, SL_INGEST_REFUSED);
    answer_error(reply, 415, text);
}

static void answer_fault(struct sl_ingest_feed *feed, struct sl_http_reply *reply,
                         const struct sl_ingest_fault *fault)
{
    char text[SL_ERR_TEXT_BYTES + 40];
    bool names_column = !strncmp(fault->reason, "column '", strlen("column '"));
    if (fault->row)
        snprintf(text, sizeof text, "row %llu%s %s", (unsigned long long)fault->row,
                 names_column ? "," : ":", fault->reason);
    else
        snprintf(text, sizeof text, "line %u: %s", fault->line, fault->reason);
    count(feed, SL_INGEST_REFUSED);
    reply->status = 400;
    sl_buf_add_text(&reply->body, "{\"error\":");
    sl_buf_add_json_text(&reply->body, text);
    if (fault->row)
        sl_buf_printf(&reply->body, ",\"row\":%llu", (unsigned long long)fault->row);
    if (fault->column[0]) {
        sl_buf_add_text(&reply->body, ",\"column\":");
        sl_buf_add_json_text(&reply->body, fault->column);
    }
    sl_buf_printf(&reply->body, ",\"line\":%u}\n", fault->line);
}

static void put_off(struct sl_ingest_feed *feed, struct sl_http_reply *reply, bool unsure,
                    const char *why)
{
    char text[700];
    snprintf(text, sizeof text, "%s: %.500s",
             unsure ? "not accepted for sure; post it again (the same keys and versions do no harm)"
                    : "not accepted; post it again later",
             why);
    count(feed, unsure ? SL_INGEST_UNSURE : SL_INGEST_BEHIND);
    reply->retry_after_s = RETRY_AFTER_S;
    answer_error(reply, 503, text);
}

static void answer_accepted(const struct posting *posting, struct sl_http_reply *reply)
{
    struct sl_ingest_feed *feed = posting->feed;
    sl_kill_point("post answered", feed->config->name);
    count(feed, SL_INGEST_ACCEPTED);
    sl_metric_add(feed->rows, (int64_t)posting->rows);
    reply->status = 202;
    sl_buf_printf(&reply->body, "{\"accepted\":%llu", (unsigned long long)posting->rows);
    if (strcmp(posting->first_run, posting->run) != 0) /* one ended between two pieces */
        sl_buf_printf(&reply->body, ",\"first_run\":\"%s\"", posting->first_run);
    if (posting->rows)
        sl_buf_printf(&reply->body, ",\"run\":\"%s\"", posting->run);
    sl_buf_add_text(&reply->body, "}\n");
}

/* --- the first reading: is all of it right? --- */

static int pause_reading(void *ctx, struct sl_err *err)
{
    (void)ctx;
    int rc = sl_fiber_yield();
    return rc == SL_OK ? rc : sl_err_set(err, rc, "sluice is ending");
}

/* --- the second one: into the batches --- */

static int enter(struct posting *posting, struct sl_err *err)
{
    int rc = sl_mutex_lock(&posting->feed->adding, sl_deadline_in(SL_INGEST_PATIENCE_MS), NULL);
    posting->inside = rc == SL_OK;
    return rc == SL_OK ? rc : sl_err_set(err, rc, "other posts are waiting before it");
}

static void leave(struct posting *posting)
{
    if (posting->inside)
        sl_mutex_unlock(&posting->feed->adding);
    posting->inside = false;
}

static int add_row(void *ctx, const struct sl_ingest_row *row, struct sl_err *err)
{
    struct posting *posting = ctx;
    const struct sl_record record = {
        .op = row->op,
        .id = row->id,
        .version = row->version >= 0 ? row->version : posting->version++,
        .changed_at_ms = posting->changed_at_ms,
        .doc = row->doc,
        .line = row->line,
    };
    int rc = sl_ingest_add(posting->feed, &posting->post, &record, posting->run, err);
    if (!posting->first_run[0])
        snprintf(posting->first_run, sizeof posting->first_run, "%s", posting->run);
    return rc;
}

/* Others may add theirs between two pieces of a long one. */
static int pause_adding(void *ctx, struct sl_err *err)
{
    struct posting *posting = ctx;
    leave(posting);
    int rc = pause_reading(ctx, err);
    return rc == SL_OK ? enter(posting, err) : rc;
}

static int add_rows(struct posting *posting, enum sl_ingest_form form, struct sl_str body,
                    struct sl_err *err)
{
    const struct sl_ingest_reader reader = {add_row, pause_adding, posting};
    struct sl_ingest_fault fault;
    int rc = enter(posting, err);
    if (rc == SL_OK)
        rc = sl_ingest_read(posting->feed->plan, form, body, &reader, NULL, &fault, err);
    if (posting->post.first)
        sl_ingest_send(posting->feed, &posting->post); /* what was added goes, come what may */
    leave(posting);
    return rc;
}

/* --- the whole --- */

static int take_versions(struct posting *posting, struct sl_err *err)
{
    struct sl_arrival *arrival = posting->feed->arrival;
    if (!arrival)
        return SL_OK;
    uint64_t patience_ms = sl_arrival_trouble(arrival) ? 0 : SL_INGEST_PATIENCE_MS;
    return sl_arrival_take(arrival, (uint32_t)posting->rows, sl_deadline_in(patience_ms),
                           &posting->version, err);
}

static int deliver(struct posting *posting, enum sl_ingest_form form, struct sl_str body,
                   struct sl_err *err)
{
    struct sl_ingest_feed *feed = posting->feed;
    int rc = take_versions(posting, err);
    if (rc == SL_OK)
        rc = add_rows(posting, form, body, err);
    if (rc != SL_OK)
        return rc;
    uint64_t timeout_ms = feed->ingest->settings->listen.request_timeout_ms;
    rc = sl_ingest_await(feed, &posting->post, sl_deadline_in(timeout_ms));
    return rc == SL_OK ? rc : sl_err_set(err, rc, "RabbitMQ has not confirmed it in time");
}

static void take_rows(struct posting *posting, enum sl_ingest_form form, struct sl_str body,
                      struct sl_http_reply *reply)
{
    struct sl_ingest_feed *feed = posting->feed;
    struct sl_err err = {0};
    sl_ingest_begin(feed, &posting->post);
    int rc = deliver(posting, form, body, &err);
    sl_ingest_end(feed, &posting->post);
    if (rc == SL_OK)
        answer_accepted(posting, reply);
    else
        put_off(feed, reply, posting->post.first != 0, err.message);
}

void sl_ingest_take(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    struct sl_ingest_feed *feed = ctx;
    const char *encoding = sl_http_call_header(call, "Content-Encoding");
    struct posting posting = {
        .feed = feed,
        .changed_at_ms = sl_wall_ms() - (int64_t)(sl_loop_now_ms() - call->arrived_ms),
    };
    const struct sl_ingest_reader reader = {NULL, pause_reading, NULL};
    struct sl_ingest_fault fault;
    struct sl_err err = {0};
    enum sl_ingest_form form;

    if (!sl_ingest_form_of(call->content_type, &form)) {
        refuse_type(feed, reply, "content type", call->content_type);
        return;
    }
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        refuse_type(feed, reply, "content encoding", encoding);
        return;
    }
    if (sl_ingest_is_behind(feed)) {
        put_off(feed, reply, false, "RabbitMQ confirms nothing at the moment");
        return;
    }
    const char *misfit = sl_ingest_line_misfit(feed);
    if (misfit) {
        put_off(feed, reply, false, misfit);
        return;
    }
    int rc = sl_ingest_read(feed->plan, form, call->body, &reader, &posting.rows, &fault, &err);
    if (rc == SL_REJECTED)
        answer_fault(feed, reply, &fault);
    else if (rc != SL_OK)
        put_off(feed, reply, false, err.message);
    else if (!posting.rows)
        answer_accepted(&posting, reply);
    else
        take_rows(&posting, form, call->body, reply);
}
