/* What a run has come to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/load/load.h"

static const struct {
    const char *name; /* in the JSON */
    const char *text;
    double share;
} POINTS[] = {
    {"p50",   "p50",   0.5  },
    {"p90",   "p90",   0.9  },
    {"p99",   "p99",   0.99 },
    {"p99_9", "p99.9", 0.999},
    {"max",   "max",   1    },
};

#define POINT_COUNT (sizeof(POINTS) / sizeof(*POINTS))

/* From the moment when each was due until it was answered, or seen. */
static struct load_figures collect(const struct load_run *run, bool seen)
{
    int64_t *values = sim_alloc((run->options->count + 1) * sizeof(*values));
    size_t count = 0;
    for (uint64_t i = 0; i < run->options->count; i++) {
        const struct load_change *change = &run->changes[i];
        int64_t at_ns = seen ? change->seen_ns : change->answered_ns;
        if (at_ns && *change->id)
            values[count++] = at_ns - change->due_ns;
    }
    return load_figures_of(values, count);
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

/* Changes a second between the first intended moment and the last answer. */
static double reached(const struct load_run *run, size_t answered)
{
    double seconds = (double)(run->end_ns - run->start_ns) / 1e9;
    double planned = run->options->seconds;
    return (double)answered / (seconds > planned ? seconds : planned);
}

/* --- for a person --- */

static void print_figures(const char *what, const struct load_figures *figures)
{
    printf("%-10s", what);
    for (size_t i = 0; i < POINT_COUNT; i++)
        printf("  %s %.1f ms", POINTS[i].text, ms(load_figures_at(figures, POINTS[i].share)));
    printf("  (%zu)\n", figures->count);
}

static void print(const struct load_run *run, const struct load_figures *answers,
                  const struct load_figures *seen)
{
    const struct load_options *options = run->options;
    printf("asked      %.2f changes a second for %g s: %llu\n", options->rate, options->seconds,
           (unsigned long long)options->count);
    printf("reached    %.2f a second; %llu late starts, the latest by %.1f ms; %llu errors\n",
           reached(run, answers->count), (unsigned long long)run->late, ms(run->late_most_ns),
           (unsigned long long)run->refused);
    print_figures("answered", answers);
    if (options->mongo)
        print_figures("in MongoDB", seen);
    if (run->refused)
        printf("first error: %s\n", run->problem);
    if (options->mongo && seen->count < answers->count)
        printf("%zu changes were not seen in MongoDB\n", answers->count - seen->count);
}

/* --- for programs --- */

static void add_number(struct sim_text *out, const char *name, double number)
{
    sim_text_name(out, name);
    sim_text_printf(out, "%.3f", number);
}

static void add_figures(struct sim_text *out, const char *name, const struct load_figures *figures)
{
    sim_text_name(out, name);
    sim_text_char(out, '{');
    sim_text_number(out, "count", (int64_t)figures->count);
    add_number(out, "mean", figures->mean_ns / 1e6);
    for (size_t i = 0; i < POINT_COUNT; i++)
        add_number(out, POINTS[i].name, ms(load_figures_at(figures, POINTS[i].share)));
    sim_text_char(out, '}');
}

static void write_json(const struct load_run *run, const struct load_figures *answers,
                       const struct load_figures *seen, struct sim_text *out)
{
    const struct load_options *options = run->options;
    sim_text_char(out, '{');
    add_number(out, "rate", options->rate);
    add_number(out, "seconds", options->seconds);
    sim_text_number(out, "tables", (int64_t)options->tables);
    sim_text_number(out, "changes", (int64_t)options->count);
    add_number(out, "reached_per_s", reached(run, answers->count));
    sim_text_number(out, "late_starts", (int64_t)run->late);
    add_number(out, "late_start_max_ms", ms(run->late_most_ns));
    sim_text_number(out, "errors", (int64_t)run->refused);
    sim_text_name(out, "statuses");
    sim_text_char(out, '{');
    for (unsigned i = 0; i < LOAD_STATUSES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u", i);
        if (run->statuses[i])
            sim_text_number(out, i ? name : "none", (int64_t)run->statuses[i]);
    }
    sim_text_char(out, '}');
    add_figures(out, "answered_ms", answers);
    if (options->mongo) {
        add_figures(out, "in_mongodb_ms", seen);
        sim_text_number(out, "not_seen", (int64_t)(answers->count - seen->count));
    }
    sim_text_puts(out, "}\n");
}

static bool write_file(const char *path, const struct sim_text *text)
{
    FILE *file = fopen(path, "we");
    bool good = file && fwrite(text->data, 1, text->len, file) == text->len;
    if (file && fclose(file) != 0)
        good = false;
    if (!good)
        fprintf(stderr, "sluice-sim load: cannot write %s: %s\n", path, strerror(errno));
    return good;
}

int load_report(const struct load_run *run)
{
    struct load_figures answers = collect(run, false), seen = collect(run, true);
    struct sim_text json = {0}, hgrm = {0};
    bool good = true;
    print(run, &answers, &seen);
    write_json(run, &answers, &seen, &json);
    load_figures_write(run->options->mongo ? &seen : &answers, &hgrm);
    if (run->options->json)
        good = write_file(run->options->json, &json);
    if (run->options->hgrm)
        good = write_file(run->options->hgrm, &hgrm) && good;
    bool all = !run->refused && (!run->options->mongo || seen.count == answers.count);
    sim_text_done(&json);
    sim_text_done(&hgrm);
    load_figures_done(&answers);
    load_figures_done(&seen);
    return good && all ? 0 : 1;
}
