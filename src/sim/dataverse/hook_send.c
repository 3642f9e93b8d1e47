/* The sender of webhook posts: one thread with many transfers at a time. As the service does it, a
 * post is tried again once, and only after 502, 503 or 504; everything else ends in a failed system
 * job.
 */
#include "sim/dataverse/hook_own.h"

#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "sim/clock.h"
#include "sim/random.h"

#define IN_FLIGHT_MOST 64
#define OVERSIZE_BYTES ((size_t)256 << 10)
#define WAIT_MOST_MS 1000

struct transfer;

struct sender {
    struct dv_hooks *hooks;
    struct sim *sim;
    CURLM *multi;
    uint64_t epoch;                             /* what is under way belongs to this one */
    struct transfer *transfers[IN_FLIGHT_MOST]; /* those under way; NULL: a free place */
    CURL *idle[IN_FLIGHT_MOST]; /* handles for reuse: they keep what libcurl has learnt */
    size_t idle_count;
};

struct transfer {
    size_t place; /* among the sender's transfers */
    struct dv_post *post;
    CURL *easy;
    struct curl_slist *headers;
    struct sim_text body;
};

/* What a transfer needs to know, read with the lock held. */
struct terms {
    char url[DV_HOOK_URL_SIZE];
    char header[DV_HOOK_HEADER_SIZE];
    char ca[256];
    bool verify;
    long timeout_ms;
};

static size_t ignore(char *bytes, size_t size, size_t count, void *arg)
{
    (void)bytes;
    (void)arg;
    return size * count;
}

/* Reads where the post goes. False when its webhook is gone. */
static bool read_terms(const struct dv_hooks *hooks, const struct dv_post *post,
                       struct terms *terms)
{
    const struct dv_hook *hook = hooks->list;
    while (hook && hook->number != post->hook)
        hook = hook->next;
    if (!hook)
        return false;
    sim_copy(terms->url, sizeof(terms->url), hook->full_url);
    sim_copy(terms->header, sizeof(terms->header), hook->header);
    sim_copy(terms->ca, sizeof(terms->ca),
             sim_switch_text(sim_switch_view(hooks->dv->sim, NULL), SW_HOOK_CA));
    terms->verify = dv_switch(hooks->dv, SW_HOOK_VERIFY) != 0;
    terms->timeout_ms = (long)dv_switch(hooks->dv, SW_HOOK_TIMEOUT_MS);
    return true;
}

static void add_header(struct transfer *transfer, const char *name, const char *value)
{
    char line[DV_HOOK_HEADER_SIZE];
    snprintf(line, sizeof(line), "%s: %s", name, value);
    transfer->headers = curl_slist_append(transfer->headers, line);
}

static void write_post(struct sender *sender, struct transfer *transfer)
{
    struct dv_post *post = transfer->post;
    uint64_t seed = sender->sim->options.seed;
    char correlation[DV_GUID_SIZE];
    dv_post_write(post, seed, &transfer->body);
    if (transfer->body.len > OVERSIZE_BYTES && !post->oversize) {
        post->oversize = true;
        sim_text_clear(&transfer->body);
        dv_post_write(post, seed, &transfer->body);
    }
    dv_guid_of(sim_mix(seed ^ post->serial), correlation);
    add_header(transfer, "Content-Type", "application/json");
    add_header(transfer, "x-ms-dynamics-organization", sender->sim->authority);
    add_header(transfer, "x-ms-dynamics-entity-name", post->news.image.schema->name);
    add_header(transfer, "x-ms-dynamics-request-name", dv_post_message(post));
    add_header(transfer, "x-ms-correlation-request-id", correlation);
    if (post->oversize)
        add_header(transfer, "x-ms-dynamics-msg-size-exceeded", "True");
    add_header(transfer, "Expect", "");
}

static void begin(struct sender *sender, struct dv_post *post, const struct terms *terms)
{
    struct transfer *transfer = sim_alloc(sizeof(*transfer));
    transfer->post = post;
    while (sender->transfers[transfer->place])
        transfer->place++; /* no more are begun than there are places */
    sender->transfers[transfer->place] = transfer;
    write_post(sender, transfer);
    if (*terms->header)
        transfer->headers = curl_slist_append(transfer->headers, terms->header);
    CURL *easy = sender->idle_count ? sender->idle[--sender->idle_count] : curl_easy_init();
    transfer->easy = easy;
    curl_easy_setopt(easy, CURLOPT_URL, terms->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body.data);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body.len);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, terms->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, terms->verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, terms->verify ? 2L : 0L);
    if (*terms->ca)
        curl_easy_setopt(easy, CURLOPT_CAINFO, terms->ca);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_multi_add_handle(sender->multi, easy);
}

/* Frees a transfer, and its post unless that waits in the queue again. */
static void end(struct sender *sender, struct transfer *transfer, bool keep_post)
{
    sender->transfers[transfer->place] = NULL;
    curl_multi_remove_handle(sender->multi, transfer->easy);
    curl_easy_reset(transfer->easy);
    if (sender->idle_count < IN_FLIGHT_MOST)
        sender->idle[sender->idle_count++] = transfer->easy;
    else
        curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    sim_text_done(&transfer->body);
    if (!keep_post)
        free(transfer->post);
    free(transfer);
}

static void count_answer(struct dv_hook_counters *counters, long status)
{
    for (int i = 0; i < DV_HOOK_STATUSES; i++) {
        if (counters->answers[i].count && counters->answers[i].status != status)
            continue;
        counters->answers[i].status = status;
        counters->answers[i].count++;
        return;
    }
}

/* Counts an answer and decides whether the post is tried again. The lock is held. */
static bool judge(struct dv_hooks *hooks, struct dv_post *post, long status)
{
    count_answer(&hooks->counters, status);
    if (status >= 200 && status < 300) {
        hooks->counters.delivered++;
        return false;
    }
    if (status >= 502 && status <= 504 && post->tries == 1) {
        hooks->counters.retried++;
        post->due_ms = sim_clock_steady_ms() + dv_switch(hooks->dv, SW_HOOK_RETRY_MS);
        dv_queue_push(hooks, post);
        return true;
    }
    hooks->counters.failed++;
    return false;
}

static void collect(struct sender *sender)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(sender->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        struct transfer *transfer;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
        if (result == CURLE_OK)
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        sim_lock(sender->sim);
        bool again = false;
        if (sender->epoch == sender->hooks->epoch) {
            again = judge(sender->hooks, transfer->post, status);
            sender->hooks->in_flight--;
        }
        sim_unlock(sender->sim);
        end(sender, transfer, again);
    }
}

/* Begins the posts that are due, as many as may run at once. */
static void begin_due(struct sender *sender, int64_t *ret_wait_ms)
{
    struct dv_hooks *hooks = sender->hooks;
    struct terms terms;
    bool more = true;
    while (more) {
        sim_lock(sender->sim);
        int64_t now_ms = sim_clock_steady_ms();
        struct dv_post *post = hooks->in_flight < IN_FLIGHT_MOST && sender->epoch == hooks->epoch
                                   ? dv_queue_pop(hooks, now_ms)
                                   : NULL;
        bool known = post && read_terms(hooks, post, &terms);
        if (known) {
            post->tries++;
            hooks->in_flight++;
            hooks->counters.sent++;
            hooks->counters.oversize += post->oversize && post->tries == 1;
        }
        more = post != NULL;
        *ret_wait_ms = hooks->in_flight < IN_FLIGHT_MOST
                           ? dv_queue_wait_ms(hooks, now_ms, WAIT_MOST_MS)
                           : WAIT_MOST_MS;
        sim_unlock(sender->sim);
        if (known)
            begin(sender, post, &terms);
        else
            free(post);
    }
}

/* Gives up what is under way: the simulator stops or was reset. */
static void abandon(struct sender *sender)
{
    for (size_t i = 0; i < IN_FLIGHT_MOST; i++)
        if (sender->transfers[i])
            end(sender, sender->transfers[i], false);
    sim_lock(sender->sim);
    sender->epoch = sender->hooks->epoch;
    sender->hooks->in_flight = 0;
    sim_unlock(sender->sim);
}

static bool is_stopped(struct sender *sender, bool *ret_reset)
{
    sim_lock(sender->sim);
    bool stop = sender->hooks->stop;
    *ret_reset = sender->epoch != sender->hooks->epoch;
    sim_unlock(sender->sim);
    return stop;
}

static void *run_sender(void *arg)
{
    struct dv_hooks *hooks = arg;
    struct sender sender = {.hooks = hooks, .sim = hooks->dv->sim, .multi = hooks->multi};
    bool reset;
    while (!is_stopped(&sender, &reset)) {
        int running;
        int64_t wait_ms;
        if (reset)
            abandon(&sender);
        curl_multi_perform(sender.multi, &running);
        collect(&sender);
        begin_due(&sender, &wait_ms);
        curl_multi_poll(sender.multi, NULL, 0, (int)wait_ms, NULL);
    }
    abandon(&sender);
    while (sender.idle_count)
        curl_easy_cleanup(sender.idle[--sender.idle_count]);
    return NULL;
}

bool dv_sender_start(struct dv_hooks *hooks)
{
    if (hooks->multi)
        return true;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    hooks->multi = curl_multi_init();
    if (hooks->multi && pthread_create(&hooks->sender, NULL, run_sender, hooks) == 0)
        return true;
    curl_multi_cleanup(hooks->multi);
    hooks->multi = NULL;
    curl_global_cleanup();
    return false;
}

void dv_hooks_stop(struct dv_hooks *hooks)
{
    if (!hooks->multi)
        return;
    sim_lock(hooks->dv->sim);
    hooks->stop = true;
    curl_multi_wakeup(hooks->multi);
    sim_unlock(hooks->dv->sim);
    pthread_join(hooks->sender, NULL);
    curl_multi_cleanup(hooks->multi);
    hooks->multi = NULL;
    curl_global_cleanup();
}

void dv_hooks_wake(struct dv_hooks *hooks)
{
    if (hooks->multi)
        curl_multi_wakeup(hooks->multi);
}
