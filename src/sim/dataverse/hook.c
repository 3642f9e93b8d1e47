/* Webhooks: registrations, and what becomes of a change on its way into the queue. */
#include "sim/dataverse/hook_own.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/clock.h"
#include "sim/json.h"
#include "sim/random.h"

struct dv_hooks *dv_hooks_new(struct dv *dv)
{
    struct dv_hooks *hooks = sim_alloc(sizeof(*hooks));
    hooks->dv = dv;
    return hooks;
}

void dv_hooks_clear(struct dv_hooks *hooks)
{
    while (hooks->list) {
        struct dv_hook *hook = hooks->list;
        hooks->list = hook->next;
        free(hook);
    }
    for (size_t i = 0; i < hooks->queue_count; i++)
        free(hooks->queue[i]);
    hooks->queue_count = 0;
    hooks->serial = 0;
    hooks->in_flight = 0;
    hooks->epoch++;
    dv_hooks_wake(hooks);
    hooks->random = sim_mix(hooks->dv->sim->options.seed + SIM_GOLDEN);
    hooks->counters = (struct dv_hook_counters){0};
}

void dv_hooks_free(struct dv_hooks *hooks)
{
    dv_hooks_clear(hooks);
    free(hooks->queue);
    free(hooks);
}

/* Writes ",one,two," of a list of strings. False when it is none, or too long. */
static bool read_list(yajl_val list, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    if (!list || YAJL_IS_NULL(list))
        return true;
    if (!YAJL_IS_ARRAY(list))
        return false;
    for (size_t i = 0; i < list->u.array.len; i++) {
        yajl_val item = list->u.array.values[i];
        if (!YAJL_IS_STRING(item))
            return false;
        len +=
            (size_t)snprintf(out + len, size - len, "%s%s,", i ? "" : ",", YAJL_GET_STRING(item));
        if (len >= size)
            return false;
    }
    return true;
}

/* The secret goes into a header or into the query. False when it is described wrongly. */
static bool read_secret(struct dv_hook *hook, yajl_val secret)
{
    const char *value = sim_json_string(secret, "value", NULL);
    const char *header = sim_json_string(secret, "header", NULL);
    const char *query = sim_json_string(secret, "query", NULL);
    sim_copy(hook->full_url, sizeof(hook->full_url), hook->url);
    if (!secret || YAJL_IS_NULL(secret))
        return true;
    if (!value || !header == !query)
        return false;
    int len = header ? snprintf(hook->header, sizeof(hook->header), "%s: %s", header, value)
                     : snprintf(hook->full_url, sizeof(hook->full_url), "%s%s%s=%s", hook->url,
                                strchr(hook->url, '?') ? "&" : "?", query, value);
    return len < DV_HOOK_HEADER_SIZE;
}

unsigned dv_hooks_add(struct dv_hooks *hooks, yajl_val body, char *problem, size_t size)
{
    struct dv_hook *hook = sim_alloc(sizeof(*hook));
    const char *url = sim_json_string(body, "url", "");
    sim_copy(hook->url, sizeof(hook->url), url);
    bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    bool ok = http && strlen(url) + 256 < sizeof(hook->url);
    if (!ok)
        snprintf(problem, size, "url must be an http or https address");
    if (ok && !read_secret(hook, sim_json_member(body, "secret"))) {
        ok = false;
        snprintf(problem, size, "secret is {\"header\" or \"query\":name,\"value\":text}");
    }
    if (ok &&
        (!read_list(sim_json_member(body, "tables"), hook->tables, sizeof(hook->tables)) ||
         !read_list(sim_json_member(body, "messages"), hook->messages, sizeof(hook->messages)))) {
        ok = false;
        snprintf(problem, size, "tables and messages are lists of names");
    }
    if (ok && !dv_sender_start(hooks)) {
        ok = false;
        snprintf(problem, size, "no thread for it");
    }
    if (!ok) {
        free(hook);
        return 0;
    }
    hook->number = ++hooks->last_number;
    hook->next = hooks->list;
    hooks->list = hook;
    return hook->number;
}

bool dv_hooks_remove(struct dv_hooks *hooks, unsigned number)
{
    for (struct dv_hook **at = &hooks->list; *at; at = &(*at)->next) {
        struct dv_hook *hook = *at;
        if (hook->number != number)
            continue;
        *at = hook->next;
        free(hook);
        return true;
    }
    return false;
}

static bool is_listed(const char *list, const char *name)
{
    char wanted[DV_NAME_SIZE + 32];
    snprintf(wanted, sizeof(wanted), ",%s,", name);
    return !*list || strstr(list, wanted);
}

static bool by_chance(struct dv_hooks *hooks, enum sim_switch percent)
{
    int64_t limit = dv_switch(hooks->dv, percent);
    return limit > 0 && (int64_t)(sim_random(&hooks->random) % 100) < limit;
}

/* Between two switches, and a random delay on top of that when order shall not last. */
static int64_t choose_delay(struct dv_hooks *hooks)
{
    int64_t least_ms = dv_switch(hooks->dv, SW_HOOK_DELAY_MIN_MS);
    int64_t most_ms = dv_switch(hooks->dv, SW_HOOK_DELAY_MAX_MS);
    int64_t disorder_ms = dv_switch(hooks->dv, SW_HOOK_DISORDER);
    int64_t delay_ms = least_ms;
    if (most_ms > least_ms)
        delay_ms += (int64_t)(sim_random(&hooks->random) % (uint64_t)(most_ms - least_ms + 1));
    if (disorder_ms > 0)
        delay_ms += (int64_t)(sim_random(&hooks->random) % (uint64_t)(disorder_ms + 1));
    return delay_ms;
}

static void enqueue(struct dv_hooks *hooks, const struct dv_post *post)
{
    struct dv_post *own = sim_alloc(sizeof(*own));
    *own = *post;
    own->serial = ++hooks->serial;
    own->due_ms = sim_clock_steady_ms() + choose_delay(hooks);
    dv_queue_push(hooks, own);
    hooks->counters.queued++;
}

/* An event of an update or a deletion that its transaction took back: the row is as it was. */
static void enqueue_rolled_back(struct dv_hooks *hooks, const struct dv_post *post)
{
    struct dv_post other = *post;
    other.rolled_back = true;
    if (other.news.op != DV_UPDATE && other.news.op != DV_CREATE && other.news.op != DV_RECREATE)
        return;
    other.news.op = sim_random(&hooks->random) & 1 ? DV_DELETE : DV_UPDATE;
    other.news.image.revision++;
    hooks->counters.rolled_back++;
    enqueue(hooks, &other);
}

void dv_hooks_tell(struct dv_hooks *hooks, const struct dv_news *news)
{
    bool queued = false;
    for (const struct dv_hook *hook = hooks->list; hook; hook = hook->next) {
        struct dv_post post = {.news = *news, .hook = hook->number};
        if (!is_listed(hook->tables, news->image.schema->name) ||
            !is_listed(hook->messages, dv_post_message(&post)))
            continue;
        if (by_chance(hooks, SW_HOOK_ROLLBACK_PERCENT))
            enqueue_rolled_back(hooks, &post);
        queued = true;
        if (by_chance(hooks, SW_HOOK_LOSE_PERCENT)) {
            hooks->counters.lost++;
            continue;
        }
        post.oversize = by_chance(hooks, SW_HOOK_OVERSIZE);
        enqueue(hooks, &post);
        if (by_chance(hooks, SW_HOOK_DOUBLE_PERCENT)) {
            hooks->counters.doubled++;
            enqueue(hooks, &post);
        }
    }
    if (queued)
        dv_hooks_wake(hooks);
}

static void describe_hook(const struct dv_hook *hook, struct sim_text *out)
{
    sim_text_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    sim_text_number(out, "id", hook->number);
    sim_text_member(out, "url", hook->url);
    sim_text_member(out, "tables", hook->tables);
    sim_text_member(out, "messages", hook->messages);
    sim_text_char(out, '}');
}

void dv_hooks_describe(const struct dv_hooks *hooks, struct sim_text *out)
{
    const struct dv_hook_counters *counters = &hooks->counters;
    sim_text_puts(out, "{\"webhooks\":[");
    for (const struct dv_hook *hook = hooks->list; hook; hook = hook->next)
        describe_hook(hook, out);
    sim_text_char(out, ']');
    sim_text_number(out, "waiting", (int64_t)hooks->queue_count);
    sim_text_number(out, "in_flight", hooks->in_flight);
    sim_text_number(out, "queued", (int64_t)counters->queued);
    sim_text_number(out, "sent", (int64_t)counters->sent);
    sim_text_number(out, "delivered", (int64_t)counters->delivered);
    sim_text_number(out, "retried", (int64_t)counters->retried);
    sim_text_number(out, "failed", (int64_t)counters->failed);
    sim_text_number(out, "lost", (int64_t)counters->lost);
    sim_text_number(out, "doubled", (int64_t)counters->doubled);
    sim_text_number(out, "rolled_back", (int64_t)counters->rolled_back);
    sim_text_number(out, "oversize", (int64_t)counters->oversize);
    sim_text_name(out, "answers");
    sim_text_char(out, '{');
    for (int i = 0; i < DV_HOOK_STATUSES && counters->answers[i].count; i++) {
        char status[24];
        snprintf(status, sizeof(status), "%ld", counters->answers[i].status);
        sim_text_number(out, counters->answers[i].status ? status : "none",
                        (int64_t)counters->answers[i].count);
    }
    sim_text_puts(out, "}}");
}
