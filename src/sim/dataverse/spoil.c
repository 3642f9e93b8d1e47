/* What may happen to an answer on its way. */
#include "sim/dataverse/spoil.h"

#include <stdlib.h>

#include "sim/clock.h"

static enum dv_limit forced_limit(const struct dv *dv)
{
    const char *code = sim_switch_text(sim_switch_view(dv->sim, NULL), SW_DV_429_CODE);
    for (int which = DV_LIMIT_REQUESTS; which < DV_LIMITS; which++)
        if (strcmp(dv_limit_code((enum dv_limit)which), code) == 0)
            return (enum dv_limit)which;
    return DV_LIMIT_REQUESTS;
}

void dv_fate_read(struct dv *dv, struct dv_user *user, struct dv_fate *fate)
{
    struct sim_switch_view view = sim_switch_view(dv->sim, NULL);
    int64_t retry_after_s = dv_switch(dv, SW_DV_RETRY_AFTER);
    *fate = (struct dv_fate){.delay_ms = dv_switch(dv, SW_DV_DELAY_MS),
                             .cost_ms = dv_switch(dv, SW_DV_COST_MS),
                             .bytes_per_s = dv_switch(dv, SW_DV_SLOW_BODY),
                             .retry_after_s = retry_after_s ? retry_after_s : 2};
    if (sim_switch_take(view, SW_DV_503_NEXT)) {
        fate->way = DV_AWAY;
    } else if (sim_switch_take(view, SW_DV_500_NEXT)) {
        fate->way = DV_FAILS;
    } else if (sim_switch_take(view, SW_DV_REDIRECT_NEXT)) {
        fate->way = DV_REDIRECTED;
        sim_copy(fate->redirect, sizeof(fate->redirect), sim_switch_text(view, SW_DV_REDIRECT_TO));
    } else if (sim_switch_take(view, SW_DV_429_NEXT)) {
        fate->way = DV_THROTTLED;
        fate->limit = forced_limit(dv);
        dv_user_throttled(user, fate->limit, sim_clock_steady_ms(), fate->retry_after_s);
    } else {
        const struct dv_limits limits = {
            dv_switch(dv, SW_DV_LIMIT_REQUESTS), dv_switch(dv, SW_DV_LIMIT_EXECUTION_MS),
            dv_switch(dv, SW_DV_LIMIT_WINDOW_MS), dv_switch(dv, SW_DV_LIMIT_CONCURRENCY)};
        int64_t wait_s = 0;
        fate->limit = dv_user_begin(user, &limits, sim_clock_steady_ms(), &wait_s);
        if (fate->limit != DV_LIMIT_NONE) {
            fate->way = DV_THROTTLED;
            fate->retry_after_s = retry_after_s ? retry_after_s : wait_s;
            user->retry_at_ms = sim_clock_steady_ms() + fate->retry_after_s * 1000;
            return;
        }
        fate->html = sim_switch_take(view, SW_DV_HTML_NEXT);
        fate->malformed = !fate->html && sim_switch_take(view, SW_DV_MALFORMED_NEXT);
        fate->cut = !fate->html && !fate->malformed && sim_switch_take(view, SW_DV_CUT_BODY_NEXT);
    }
}

void dv_fate_answer(struct dv_call *call, const struct dv_fate *fate)
{
    call->request->action = "dv_hindered";
    switch (fate->way) {
    case DV_REDIRECTED:
        call->status = 302;
        break;
    case DV_THROTTLED:
        dv_fail(call, 429, dv_limit_code(fate->limit), "%s", dv_limit_text(fate->limit));
        break;
    case DV_AWAY:
        call->status = 503;
        call->type = "text/html";
        sim_text_puts(&call->out, "<html><body>The service is unavailable.</body></html>");
        break;
    default:
        dv_fail(call, 500, "0x80040216", "An unexpected error occurred.");
        break;
    }
}

/* A body that is read out slowly, or not to its end. */
struct body {
    struct sim *sim;
    struct sim_text text;
    size_t cut_at;
    int64_t bytes_per_s;
    int64_t begun_ms;
};

static ssize_t read_body(void *cls, uint64_t position, char *out, size_t most)
{
    struct body *body = cls;
    if (position >= body->cut_at)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t len = body->cut_at - (size_t)position;
    if (body->bytes_per_s > 0) {
        /* A tenth of a second's bytes at a time, each when it is due. */
        size_t slice = (size_t)(body->bytes_per_s / 10 + 1);
        len = len < slice ? len : slice;
        len = len < most ? len : most;
        int64_t due_ms =
            body->begun_ms + (int64_t)((position + len) * 1000 / (uint64_t)body->bytes_per_s);
        int64_t wait_ms = due_ms - sim_clock_steady_ms();
        if (wait_ms > 0 && !sim_sleep(body->sim, wait_ms))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    len = len < most ? len : most;
    memcpy(out, body->text.data + position, len);
    return (ssize_t)len;
}

static void free_body(void *cls)
{
    struct body *body = cls;
    sim_text_done(&body->text);
    free(body);
}

/* Makes the colon of a member in the middle a semicolon. */
static void break_json(struct sim_text *out)
{
    char *at = strstr(out->data + out->len / 2, "\":");
    while (at && at[-1] == '\\')
        at = strstr(at + 1, "\":");
    if (at)
        at[1] = ';';
    else
        out->data[out->len - 1] = ';';
}

struct MHD_Response *dv_fate_response(struct dv_call *call, const struct dv_fate *fate)
{
    struct sim_text *out = &call->out;
    sim_text_reserve(out, 0);
    if (fate->html && call->status == 200) {
        sim_text_clear(out);
        sim_text_puts(out, "<!DOCTYPE html><html><body>Sign in to your account</body></html>");
        call->type = "text/html";
    } else if (fate->malformed && out->len > 2) {
        break_json(out);
    }
    struct MHD_Response *response;
    if ((fate->cut || fate->bytes_per_s > 0) && out->len > 1) {
        struct body *body = sim_alloc(sizeof(*body));
        *body = (struct body){.sim = call->sim,
                              .text = *out,
                              .cut_at = fate->cut ? out->len / 2 : out->len,
                              .bytes_per_s = fate->bytes_per_s,
                              .begun_ms = sim_clock_steady_ms()};
        response = MHD_create_response_from_callback(out->len, (size_t)64 << 10, read_body, body,
                                                     free_body);
    } else {
        response = MHD_create_response_from_buffer(out->len, out->data, MHD_RESPMEM_MUST_FREE);
    }
    *out = (struct sim_text){0};
    return response;
}
