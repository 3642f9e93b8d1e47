/* Posts each change when it is due: one thread, many transfers. What is due and finds all
 * connections busy is posted as soon as one is free; its latency counts all the same from the
 * moment it was meant for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "sim/json.h"
#include "sim/load/load.h"

#define LATE_NS 1000000
#define WAIT_MS 1000
#define ANSWER_MOST 65536

struct post {
    CURL *easy;
    struct curl_slist *headers;
    struct load_change *change;
    struct sim_text url, body, answer;
    struct post *next; /* of those that are free */
};

struct drive {
    struct load_run *run;
    CURLM *multi;
    int timer; /* goes off when the next change is due, to the nanosecond */
    struct post *posts, *free;
    uint64_t next, under_way;
};

int64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- one post --- */

static size_t keep(char *bytes, size_t size, size_t count, void *arg)
{
    struct sim_text *answer = arg;
    if (answer->len + size * count <= ANSWER_MOST)
        sim_text_add(answer, bytes, size * count);
    return size * count;
}

/* The URL, with the table's number for {}. */
static void write_url(const struct load_options *options, uint64_t table, struct sim_text *url)
{
    const char *braces = options->ingest ? strstr(options->ingest, "{}") : NULL;
    sim_text_clear(url);
    if (options->sim)
        sim_text_printf(url, "%s/_sim/dv/change", options->sim);
    else if (braces)
        sim_text_printf(url, "%.*s%llu%s", (int)(braces - options->ingest), options->ingest,
                        (unsigned long long)table, braces + 2);
    else
        sim_text_puts(url, options->ingest);
}

static void write_body(struct load_run *run, uint64_t number, struct sim_text *body)
{
    const struct load_options *options = run->options;
    uint64_t table = number % options->tables;
    sim_text_clear(body);
    if (options->sim) {
        sim_text_printf(body, "{\"table\":\"t%03llu\",\"count\":1}", (unsigned long long)table);
        return;
    }
    char *id = run->changes[number].id;
    snprintf(id, LOAD_ID_SIZE, "%s-%09llu", run->name, (unsigned long long)number);
    sim_text_char(body, '{');
    sim_text_member(body, options->key, id);
    sim_text_number(body, "number", (int64_t)number);
    sim_text_number(body, "table", (int64_t)table);
    sim_text_member(body, "note", "A row of sluice-sim load: leave it at the quay, gate 4, please");
    sim_text_char(body, '}');
}

static void begin(struct drive *drive, uint64_t number, int64_t now_ns)
{
    struct load_run *run = drive->run;
    struct post *post = drive->free;
    int64_t late_ns = now_ns - run->changes[number].due_ns;
    run->late += late_ns > LATE_NS;
    if (late_ns > run->late_most_ns)
        run->late_most_ns = late_ns;
    drive->free = post->next;
    post->change = &run->changes[number];
    sim_text_clear(&post->answer);
    write_url(run->options, number % run->options->tables, &post->url);
    write_body(run, number, &post->body);
    curl_easy_setopt(post->easy, CURLOPT_URL, post->url.data);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, post->body.data);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDSIZE, (long)post->body.len);
    curl_multi_add_handle(drive->multi, post->easy);
    drive->under_way++;
}

/* Which document the simulator's change leads to. False: the answer does not say. */
static bool read_answer(struct load_change *change, const struct sim_text *answer)
{
    yajl_val tree = answer->len ? yajl_tree_parse(answer->data, NULL, 0) : NULL;
    yajl_val ids = sim_json_member(tree, "ids");
    bool good =
        YAJL_IS_ARRAY(ids) && ids->u.array.len == 1 && YAJL_IS_STRING(ids->u.array.values[0]);
    if (good) {
        sim_copy(change->id, sizeof(change->id), YAJL_GET_STRING(ids->u.array.values[0]));
        change->version = 2 * sim_json_number(tree, "versionnumber", 0);
    }
    yajl_tree_free(tree);
    return good;
}

static void end(struct drive *drive, struct post *post, CURLcode code)
{
    struct load_run *run = drive->run;
    struct load_change *change = post->change;
    long status = 0;
    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(drive->multi, post->easy);
    if (code != CURLE_OK || status < 0 || status >= LOAD_STATUSES)
        status = 0;
    run->statuses[status]++;
    bool good = status >= 200 && status < 300 &&
                (run->options->ingest || read_answer(change, &post->answer));
    if (good) {
        change->answered_ns = load_now_ns();
    } else {
        if (!run->refused++)
            snprintf(run->problem, sizeof(run->problem), "%s: %s %.160s", post->url.data,
                     status ? "it answered" : curl_easy_strerror(code),
                     post->answer.len ? post->answer.data : "");
        *change->id = '\0';
    }
    post->next = drive->free;
    drive->free = post;
    drive->under_way--;
}

/* --- the schedule --- */

/* Until something can be read or written, or the next change is due. */
static void wait(const struct drive *drive)
{
    const struct load_run *run = drive->run;
    struct itimerspec due = {0};
    if (drive->next < run->options->count && drive->free) {
        int64_t due_ns = run->changes[drive->next].due_ns;
        due.it_value.tv_sec = due_ns / 1000000000;
        due.it_value.tv_nsec = due_ns % 1000000000;
    }
    timerfd_settime(drive->timer, TFD_TIMER_ABSTIME, &due, NULL); /* all zero: it is off */
    struct curl_waitfd timer = {.fd = drive->timer, .events = CURL_WAIT_POLLIN};
    curl_multi_poll(drive->multi, &timer, 1, WAIT_MS, NULL);
}

static void run_schedule(struct drive *drive)
{
    struct load_run *run = drive->run;
    run->start_ns = load_now_ns();
    for (uint64_t i = 0; i < run->options->count; i++)
        run->changes[i].due_ns = run->start_ns + (int64_t)((double)i / run->options->rate * 1e9);
    while (drive->next < run->options->count || drive->under_way) {
        int running, left;
        int64_t now_ns = load_now_ns();
        while (drive->next < run->options->count && drive->free &&
               run->changes[drive->next].due_ns <= now_ns)
            begin(drive, drive->next++, now_ns);
        curl_multi_perform(drive->multi, &running);
        const CURLMsg *message;
        while ((message = curl_multi_info_read(drive->multi, &left))) {
            struct post *post;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&post);
            end(drive, post, code);
        }
        if (drive->next < run->options->count || drive->under_way)
            wait(drive);
    }
    run->end_ns = load_now_ns();
}

/* --- before and after --- */

static void prepare(const struct load_run *run, struct post *post)
{
    const struct load_options *options = run->options;
    post->easy = curl_easy_init();
    post->headers = curl_slist_append(NULL, "Content-Type: application/json");
    post->headers = curl_slist_append(post->headers, "Expect:");
    if (run->token) {
        struct sim_text line = {0};
        sim_text_printf(&line, "Authorization: Bearer %s", run->token);
        post->headers = curl_slist_append(post->headers, line.data);
        sim_text_done(&line);
    }
    curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, post->headers);
    curl_easy_setopt(post->easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(post->easy, CURLOPT_WRITEDATA, &post->answer);
    curl_easy_setopt(post->easy, CURLOPT_PRIVATE, post);
    curl_easy_setopt(post->easy, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    curl_easy_setopt(post->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(post->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(post->easy, CURLOPT_PROXY, "");
    if (options->ca)
        curl_easy_setopt(post->easy, CURLOPT_CAINFO, options->ca);
}

/* The tables of the simulator, and their rows. */
static bool make_tables(const struct load_options *options, struct post *post)
{
    long status = 0;
    sim_text_printf(&post->url, "%s/_sim/dv/table", options->sim);
    sim_text_printf(&post->body, "{\"tables_count\":%llu,\"count\":%llu}",
                    (unsigned long long)options->tables, (unsigned long long)options->rows);
    curl_easy_setopt(post->easy, CURLOPT_URL, post->url.data);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, post->body.data);
    CURLcode code = curl_easy_perform(post->easy);
    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status == 200)
        return true;
    fprintf(stderr, "sluice-sim load: %s: %s (status %ld)\n", post->url.data,
            code == CURLE_OK ? "it makes no tables" : curl_easy_strerror(code), status);
    return false;
}

static void done(struct drive *drive)
{
    for (uint64_t i = 0; i < drive->run->options->connections; i++) {
        struct post *post = &drive->posts[i];
        curl_easy_cleanup(post->easy);
        curl_slist_free_all(post->headers);
        sim_text_done(&post->url);
        sim_text_done(&post->body);
        sim_text_done(&post->answer);
    }
    free(drive->posts);
    curl_multi_cleanup(drive->multi);
    close(drive->timer);
}

bool load_drive(struct load_run *run)
{
    const struct load_options *options = run->options;
    struct drive drive = {.run = run, .multi = curl_multi_init()};
    drive.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    drive.posts = sim_alloc(options->connections * sizeof(*drive.posts));
    curl_multi_setopt(drive.multi, CURLMOPT_MAXCONNECTS, (long)options->connections);
    for (uint64_t i = 0; i < options->connections; i++) {
        prepare(run, &drive.posts[i]);
        drive.posts[i].next = drive.free;
        drive.free = &drive.posts[i];
    }
    bool good = drive.timer >= 0 && (!options->sim || make_tables(options, &drive.posts[0]));
    if (good)
        run_schedule(&drive);
    done(&drive);
    return good;
}
