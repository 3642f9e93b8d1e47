#include "flow/overtaken.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "flow/state.h"
#include "loop/fiber.h"

enum { AGE_MAX_MS = SL_OVERTAKEN_FRESH_MS, AGE_SOON_MS = SL_OVERTAKEN_FRESH_MS * 4 / 5 };

struct sl_overtaken {
    struct sl_state *state;
    struct sl_overtake *known; /* in the order of the feeds' names; heap */
    size_t count;
    uint64_t asked_ms;      /* loop clock, when that was asked for; 0: never */
    struct sl_fiber *asker; /* one asks at a time, for all */
    struct sl_waitlist answered;
    int rc; /* of the last asking */
    struct sl_err err;
};

/* --- names --- */

/* Digits to the end of the text; no_number when there is anything else. */
static int64_t read_number(const char *digits, int64_t no_number)
{
    char *end;
    if (!isdigit((unsigned char)*digits))
        return no_number;
    int64_t number = strtoll(digits, &end, 10);
    return *end ? no_number : number;
}

/* The number of the full read "accounts-full-000007". */
static int64_t number_of_read(const char *name)
{
    const char *dash = strrchr(name, '-');
    return dash ? read_number(dash + 1, INT64_MAX) : INT64_MAX;
}

int64_t sl_overtaken_run_number(const char *name, const char *feed)
{
    size_t length = strlen(feed);
    if (strncmp(name, feed, length) != 0 || name[length] != '-')
        return INT64_MAX;
    return read_number(name + length + 1, INT64_MAX);
}

/* --- what is known --- */

struct sl_overtaken *sl_overtaken_new(struct sl_state *state)
{
    struct sl_overtaken *overtaken = SL_NEW(struct sl_overtaken);
    overtaken->state = state;
    return overtaken;
}

void sl_overtaken_free(struct sl_overtaken *overtaken)
{
    if (!overtaken)
        return;
    if (overtaken->asker) {
        sl_fiber_cancel(overtaken->asker);
        sl_fiber_shield(true);
        while (overtaken->asker)
            sl_wait(&overtaken->answered, SL_FOREVER);
        sl_fiber_shield(false);
    }
    free(overtaken->known);
    free(overtaken);
}

static void ask(void *arg)
{
    struct sl_overtaken *overtaken = arg;
    struct sl_overtake *known;
    size_t count;
    uint64_t asked_ms = sl_loop_now_ms();
    overtaken->err = (struct sl_err){0};
    overtaken->rc =
        overtaken->state->type->overtakes(overtaken->state, &known, &count, &overtaken->err);
    if (overtaken->rc == SL_OK) {
        free(overtaken->known);
        overtaken->known = known;
        overtaken->count = count;
        overtaken->asked_ms = asked_ms;
    }
    overtaken->asker = NULL;
    sl_wake_all(&overtaken->answered);
}

static bool is_known(const struct sl_overtaken *overtaken, uint64_t age_ms)
{
    return overtaken->asked_ms && sl_loop_now_ms() - overtaken->asked_ms < age_ms;
}

int sl_overtaken_refresh(struct sl_overtaken *overtaken, struct sl_err *err)
{
    uint64_t since_ms = sl_loop_now_ms();
    bool waited = false;
    for (;;) {
        if (!is_known(overtaken, AGE_SOON_MS) && !overtaken->asker)
            overtaken->asker = sl_fiber_spawn("overtaken", ask, overtaken);
        if (is_known(overtaken, AGE_MAX_MS))
            return SL_OK; /* who writes often does not wait for the answer */
        if (waited && overtaken->asked_ms >= since_ms)
            return SL_OK; /* it took long; but the write began before, and its time is limited */
        if (waited && overtaken->rc != SL_OK) {
            if (err)
                *err = overtaken->err;
            return overtaken->rc;
        }
        while (overtaken->asker)
            if (sl_wait(&overtaken->answered, SL_FOREVER) == SL_CANCELED)
                return sl_err_set(err, SL_CANCELED, "cancelled");
        waited = true; /* an answer that somebody asked for too long ago is asked for again */
    }
}

static int compare(const void *feed, const void *one)
{
    return strcmp(feed, ((const struct sl_overtake *)one)->feed);
}

static const struct sl_overtake *find(const struct sl_overtaken *overtaken, const char *feed)
{
    if (!overtaken->count)
        return NULL;
    return bsearch(feed, overtaken->known, overtaken->count, sizeof *overtaken->known, compare);
}

bool sl_overtaken_has(const struct sl_overtaken *overtaken, const struct sl_origin *origin,
                      const struct sl_letter_ref *letter)
{
    const struct sl_overtake *by = find(overtaken, origin->feed);
    if (!by)
        return false;
    /* A replayed row is as old as the letter's run; the run of the replay is no run of the feed. */
    const char *run = letter ? letter->run : origin->run;
    if (sl_overtaken_run_number(run, origin->feed) <= by->run)
        return true;
    /* Full reads with names of their own have numbers of their own; those of exports are runs. */
    bool named = !letter && origin->seen && strcmp(origin->seen, origin->run) != 0;
    return named && number_of_read(origin->seen) < by->full;
}

uint64_t sl_overtaken_wait_ms(uint64_t write_ms)
{
    return SL_OVERTAKEN_FRESH_MS + 2 * write_ms;
}

int sl_overtaken_tell(struct sl_state *state, const struct sl_overtake *overtake, uint64_t write_ms,
                      struct sl_err *err)
{
    int rc = state->type->overtake(state, overtake, err);
    if (rc == SL_OK && sl_fiber_sleep(sl_overtaken_wait_ms(write_ms)) != SL_OK)
        rc = sl_err_set(err, SL_CANCELED, "cancelled");
    /* Once more: when a majority has this, it has all that was written before. */
    return rc == SL_OK ? state->type->overtake(state, overtake, err) : rc;
}
