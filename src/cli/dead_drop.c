/* sluice dead drop. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/dead.h"

enum { ARENA_BYTES = 64 * 1024, PAGE_LETTERS = 200 };

struct dropping {
    struct sl_dead_command *command;
    bool dry_run;
    uint64_t letters, messages; /* dropped, or that would be */
};

static uint64_t room(const struct dropping *dropping)
{
    uint64_t limit = dropping->command->choice.limit;
    uint64_t done = dropping->letters + dropping->messages;
    if (!limit)
        return UINT64_MAX;
    return limit > done ? limit - done : 0;
}

/* --- letters --- */

/* One page, from the letter behind *after on, whose id goes into last. */
static int drop_page(struct dropping *dropping, struct sl_state *state, struct sl_letter *page,
                     struct sl_buf *last, unsigned *ret_count, struct sl_err *err)
{
    uint64_t max = room(dropping), removed = 0;
    const struct sl_letter_query query = {
        .filter = &dropping->command->choice.filter,
        .after = sl_buf_view(last),
        .brief = true,
        .max = max < PAGE_LETTERS ? (unsigned)max : PAGE_LETTERS,
    };
    struct sl_arena arena;
    sl_arena_init(&arena, ARENA_BYTES);
    int rc = state->type->letters_find(state, &query, &arena, page, ret_count, err);
    if (rc == SL_OK && *ret_count) {
        const struct sl_letter *end = &page[*ret_count - 1];
        sl_buf_clear(last);
        sl_buf_add(last, end->id.at, end->id.length);
        removed = *ret_count;
        if (!dropping->dry_run)
            rc = state->type->letters_remove(state, page, *ret_count, &removed, err);
    }
    dropping->letters += removed;
    sl_arena_done(&arena);
    return rc;
}

static int drop_letters(struct dropping *dropping)
{
    struct sl_err err = {0};
    struct sl_buf last;
    unsigned count = 1;
    int rc = SL_OK;
    struct sl_state *state = sl_session_state(dropping->command->session);
    if (!state)
        return SL_EXIT_FAILED;
    struct sl_letter *page = sl_calloc(PAGE_LETTERS, sizeof *page);
    sl_buf_init(&last);
    while (rc == SL_OK && count && room(dropping))
        rc = drop_page(dropping, state, page, &last, &count, &err);
    sl_buf_done(&last);
    free(page);
    return rc == SL_OK ? SL_EXIT_OK : sl_session_fail(&err);
}

/* --- messages --- */

static enum sl_unreadable_fate judge(void *ctx, const struct sl_unreadable *message)
{
    struct dropping *dropping = ctx;
    if (!room(dropping) || !sl_letter_chosen(&dropping->command->choice, message))
        return SL_UNREADABLE_LEAVE;
    dropping->messages++;
    return dropping->dry_run ? SL_UNREADABLE_LEAVE : SL_UNREADABLE_DROP;
}

static int drop_messages(struct dropping *dropping)
{
    struct sl_err err = {0};
    struct sl_unreadable_result result;
    struct sl_broker *broker = sl_session_broker(dropping->command->session);
    if (!broker)
        return SL_EXIT_FAILED;
    int rc = sl_unreadable_walk(broker, judge, dropping, &result, &err);
    if (!dropping->dry_run)
        dropping->messages = result.dropped;
    if (rc != SL_OK)
        return sl_session_fail(&err);
    bool left = room(dropping) &&
                sl_dead_tell_left(dropping->command, result.left, dropping->messages, "drop again");
    return left ? SL_EXIT_FAILED : SL_EXIT_OK;
}

int sl_dead_drop(struct sl_dead_command *command)
{
    struct dropping dropping = {.command = command, .dry_run = command->session->options->dry_run};
    int of_letters = command->choice.letters ? drop_letters(&dropping) : SL_EXIT_OK;
    int of_messages = command->choice.messages ? drop_messages(&dropping) : SL_EXIT_OK;
    if (command->json)
        printf("{\"dry_run\":%s,\"letters\":%" PRIu64 ",\"messages\":%" PRIu64 "}\n",
               dropping.dry_run ? "true" : "false", dropping.letters, dropping.messages);
    else
        printf("%" PRIu64 " letter%s and %" PRIu64 " message%s %s.\n", dropping.letters,
               sl_dead_plural(dropping.letters), dropping.messages,
               sl_dead_plural(dropping.messages),
               dropping.dry_run ? "would be dropped" : "dropped");
    return of_letters == SL_EXIT_OK ? of_messages : of_letters;
}
