/* sluice dead list and show. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/dead.h"

enum { ARENA_BYTES = 64 * 1024 };

#define LEFT_ADVICE "replay or drop those before them first"

struct listing {
    struct sl_dead_command *command;
    uint64_t limit;
    struct sl_letter_line *lines; /* up to limit of them */
    uint64_t shown;
    uint64_t messages; /* that were chosen, shown or not */
};

/* --- list --- */

static void list_letter(struct listing *listing, const struct sl_letter *letter)
{
    if (listing->command->json)
        sl_letter_json(letter, false, false, stdout);
    else
        sl_letter_line_of(letter, &listing->lines[listing->shown]);
    listing->shown++;
}

static int list_letters(struct listing *listing, struct sl_state *state, struct sl_err *err)
{
    const struct sl_letter_query query = {.filter = &listing->command->choice.filter,
                                          .newest = true,
                                          .brief = true,
                                          .max = (unsigned)listing->limit};
    struct sl_letter *letters = sl_calloc((size_t)listing->limit, sizeof *letters);
    struct sl_arena arena;
    unsigned count = 0;
    sl_arena_init(&arena, ARENA_BYTES);
    int rc = state->type->letters_find(state, &query, &arena, letters, &count, err);
    for (unsigned i = 0; i < count; i++)
        list_letter(listing, &letters[i]);
    sl_arena_done(&arena);
    free(letters);
    return rc;
}

static enum sl_unreadable_fate list_message(void *ctx, const struct sl_unreadable *message)
{
    struct listing *listing = ctx;
    if (!sl_letter_chosen(&listing->command->choice, message))
        return SL_UNREADABLE_LEAVE;
    listing->messages++;
    if (listing->shown == listing->limit)
        return SL_UNREADABLE_LEAVE;
    if (listing->command->json)
        sl_letter_json_of_message(message, false, false, stdout);
    else
        sl_letter_line_of_message(message, &listing->lines[listing->shown]);
    listing->shown++;
    return SL_UNREADABLE_LEAVE;
}

static const char *advice_for_more(const struct listing *listing)
{
    return listing->limit < SL_DEAD_LIST_MAX ? "--limit shows more" : "--until shows older ones";
}

/* "17 letters: untypable 12, refused 5". */
static void print_totals(const struct listing *listing, const struct sl_letter_count *counts,
                         unsigned count, uint64_t all)
{
    printf("%s%" PRIu64 " dead letter%s", listing->shown ? "\n" : "", all, sl_dead_plural(all));
    const char *before = ": ";
    for (unsigned i = 0; i < count; i++, before = ", ")
        printf("%s%s %" PRIu64, before, counts[i].code, counts[i].letters);
    if (listing->messages)
        printf("%s%s %" PRIu64, before, SL_UNREADABLE_CODE, listing->messages);
    if (listing->shown < all)
        printf("; the newest %" PRIu64 " are shown, %s", listing->shown, advice_for_more(listing));
    fputs(".\n", stdout);
    if (all)
        fputs("sluice dead show ID tells all of one; sluice dead list --codes what to do.\n",
              stdout);
}

/* Whoever reads JSON must not take the newest ones for all. */
static void tell_more(const struct listing *listing, uint64_t all)
{
    if (listing->shown < all)
        fprintf(stderr, "sluice: the newest %" PRIu64 " of %" PRIu64 " letters are shown, %s\n",
                listing->shown, all, advice_for_more(listing));
}

static void print_lines(const struct listing *listing)
{
    sl_letter_lines_print(listing->lines, (size_t)listing->shown, stdout);
    for (uint64_t i = 0; i < listing->shown; i++)
        sl_letter_line_done(&listing->lines[i]);
}

static void tell_totals(const struct listing *listing, const struct sl_letter_count *counts,
                        unsigned count)
{
    uint64_t all = listing->messages;
    for (unsigned i = 0; i < count; i++)
        all += counts[i].letters;
    if (listing->command->json)
        tell_more(listing, all);
    else
        print_totals(listing, counts, count, all);
}

static int list_state(struct listing *listing, struct sl_letter_count *counts, unsigned *ret_count)
{
    const struct sl_dead_command *command = listing->command;
    struct sl_err err = {0};
    struct sl_state *state = sl_session_state(command->session);
    if (!state)
        return SL_EXIT_FAILED;
    int rc = state->type->letters_count(state, &command->choice.filter, counts, ret_count, &err);
    if (rc == SL_OK)
        rc = list_letters(listing, state, &err);
    return rc == SL_OK ? SL_EXIT_OK : sl_session_fail(&err);
}

static int list_queue(struct listing *listing)
{
    struct sl_err err = {0};
    struct sl_unreadable_result result;
    struct sl_broker *broker = sl_session_broker(listing->command->session);
    if (!broker)
        return SL_EXIT_FAILED;
    int rc = sl_unreadable_walk(broker, list_message, listing, &result, &err);
    if (rc != SL_OK)
        return sl_session_fail(&err);
    sl_dead_tell_left(listing->command, result.left, listing->messages, LEFT_ADVICE);
    return SL_EXIT_OK;
}

int sl_dead_list(struct sl_dead_command *command)
{
    static struct sl_letter_count counts[SL_LETTER_CODES_MAX];
    struct listing listing = {.command = command, .limit = SL_DEAD_LIST};
    unsigned count = 0;
    int of_state = SL_EXIT_OK, of_queue = SL_EXIT_OK;
    if (command->choice.limit)
        listing.limit = command->choice.limit;
    if (listing.limit > SL_DEAD_LIST_MAX) {
        fprintf(stderr, "sluice: dead list shows %d letters at most; --until shows older ones\n",
                SL_DEAD_LIST_MAX);
        return SL_EXIT_USAGE;
    }
    listing.lines = sl_calloc((size_t)listing.limit, sizeof *listing.lines);
    if (command->choice.letters)
        of_state = list_state(&listing, counts, &count);
    if (command->choice.messages)
        of_queue = list_queue(&listing);
    if (!command->json)
        print_lines(&listing);
    if (of_state == SL_EXIT_OK && of_queue == SL_EXIT_OK)
        tell_totals(&listing, counts, count);
    free(listing.lines);
    return of_state == SL_EXIT_OK ? of_queue : of_state;
}

/* --- show --- */

static enum sl_unreadable_fate show_message(void *ctx, const struct sl_unreadable *message)
{
    struct listing *listing = ctx;
    const struct sl_dead_command *command = listing->command;
    bool reveal = command->session->options->letters.reveal;
    if (!sl_letter_chosen(&command->choice, message) || listing->shown)
        return SL_UNREADABLE_LEAVE;
    listing->shown++;
    if (command->json)
        sl_letter_json_of_message(message, true, reveal, stdout);
    else
        sl_letter_show_message(
            message, sl_unreadable_can_publish(command->session->broker, message), reveal, stdout);
    return SL_UNREADABLE_LEAVE;
}

static int show_letter(struct listing *listing)
{
    const struct sl_dead_command *command = listing->command;
    bool reveal = command->session->options->letters.reveal;
    const struct sl_letter_query query = {.filter = &command->choice.filter, .max = 1};
    struct sl_err err = {0};
    struct sl_letter letter;
    struct sl_arena arena;
    unsigned count = 0;
    struct sl_state *state = sl_session_state(command->session);
    if (!state)
        return SL_EXIT_FAILED;
    sl_arena_init(&arena, ARENA_BYTES);
    int rc = state->type->letters_find(state, &query, &arena, &letter, &count, &err);
    if (count && command->json)
        sl_letter_json(&letter, true, reveal, stdout);
    else if (count)
        sl_letter_show(&letter, reveal, stdout);
    listing->shown = count;
    sl_arena_done(&arena);
    return rc == SL_OK ? SL_EXIT_OK : sl_session_fail(&err);
}

int sl_dead_show(struct sl_dead_command *command)
{
    struct listing listing = {.command = command};
    int status;
    if (command->choice.letters) {
        status = show_letter(&listing);
    } else {
        struct sl_err err = {0};
        struct sl_unreadable_result result;
        struct sl_broker *broker = sl_session_broker(command->session);
        if (!broker)
            return SL_EXIT_FAILED;
        int rc = sl_unreadable_walk(broker, show_message, &listing, &result, &err);
        status = rc == SL_OK ? SL_EXIT_OK : sl_session_fail(&err);
        sl_dead_tell_left(command, result.left, listing.shown, LEFT_ADVICE);
    }
    if (status != SL_EXIT_OK || listing.shown)
        return status;
    fprintf(stderr, "sluice: there is no such letter (any more)\n");
    return SL_EXIT_FAILED;
}
