/* sluice dead: the rows and messages that could not be delivered. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/dead.h"
#include "cli/feed_named.h"
#include "config/nearest.h"

static int usage(const struct sl_err *err)
{
    fprintf(stderr, "sluice: %s; sluice help dead\n", err->message);
    return SL_EXIT_USAGE;
}

static int unknown_verb(const char *verb)
{
    static const char *const verbs[] = {"list", "show", "replay", "drop", NULL};
    char hint[64];
    struct sl_err err;
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, verb);
    for (size_t i = 0; verbs[i]; i++)
        sl_nearest_offer(&nearest, verbs[i]);
    sl_err_set(&err, SL_CONFIG, "dead has no \"%s\"%s", verb,
               sl_nearest_hint(&nearest, hint, sizeof hint));
    return usage(&err);
}

/* What goes with which verb. */
static int check(const struct sl_options *options, struct sl_err *err)
{
    const struct sl_letter_options *said = &options->letters;
    const char *verb = options->topic;
    bool show = !strcmp(verb, "show"), list = !strcmp(verb, "list");
    bool replay = !strcmp(verb, "replay");
    const char *wrong = options->word && !show               ? "a second word"
                        : said->codes && !list               ? "--codes"
                        : said->rate && !replay              ? "--rate"
                        : said->wait && !replay              ? "--wait"
                        : said->reveal && !show              ? "--reveal"
                        : options->dry_run && (show || list) ? "--dry-run"
                                                             : NULL;
    if (wrong)
        return sl_err_set(err, SL_CONFIG, "dead %s does not take %s", verb, wrong);
    if (show && !options->word && !said->id)
        return sl_err_set(err, SL_CONFIG,
                          "dead show needs the id of a letter, as sluice dead list prints it");
    if (show && options->word && said->id)
        return sl_err_set(err, SL_CONFIG, "dead show takes one id");
    return SL_OK;
}

bool sl_dead_tell_left(const struct sl_dead_command *command, uint64_t left, uint64_t found,
                       const char *advice)
{
    if (!left || (command->choice.hash && found))
        return false;
    fprintf(stderr,
            "sluice: %" PRIu64 " message%s of the queue \"unreadable\" %s not looked at, which is "
            "too much at once: %s\n",
            left, sl_dead_plural(left), left == 1 ? "was" : "were", advice);
    return true;
}

/* --- a feed that nobody knows --- */

struct looking {
    const char *feed;
    bool found;
};

static enum sl_unreadable_fate look_at(void *ctx, const struct sl_unreadable *message)
{
    struct looking *looking = ctx;
    looking->found |= !strcmp(message->feed, looking->feed);
    return SL_UNREADABLE_LEAVE;
}

static int look_in_queue(struct sl_session *session, struct looking *looking)
{
    struct sl_err err = {0};
    struct sl_unreadable_result result;
    struct sl_broker *broker = sl_session_broker(session);
    if (!broker)
        return SL_EXIT_FAILED;
    if (sl_unreadable_walk(broker, look_at, looking, &result, &err) != SL_OK)
        return sl_session_fail(&err);
    looking->found |= result.left > 0; /* nobody has looked at those */
    return SL_EXIT_OK;
}

static int look_among_letters(struct sl_session *session, struct looking *looking)
{
    struct sl_err err = {0};
    const struct sl_letter_filter filter = {.feed = looking->feed};
    const char *name;
    struct sl_arena arena;
    unsigned count = 0;
    struct sl_state *state = sl_session_state(session);
    if (!state)
        return SL_EXIT_FAILED;
    sl_arena_init(&arena, 1024);
    int rc = state->type->letters_feeds(state, &filter, 1, &arena, &name, &count, &err);
    sl_arena_done(&arena);
    looking->found = count > 0;
    return rc == SL_OK ? SL_EXIT_OK : sl_session_fail(&err);
}

/* A feed that the configuration names no longer may have letters all the same. One that has none
 * is a slip of the pen, and "0 dead letters" would pass for good news. */
static int check_feed(struct sl_session *session, const char *feed)
{
    struct sl_err unknown = {0};
    struct looking looking = {.feed = feed};
    if (!feed || sl_feed_named(session->config, feed, &unknown))
        return SL_EXIT_OK;
    int status = look_among_letters(session, &looking);
    if (status == SL_EXIT_OK && !looking.found)
        status = look_in_queue(session, &looking);
    return status == SL_EXIT_OK && !looking.found ? sl_session_fail(&unknown) : status;
}

static int do_verb(struct sl_dead_command *command, const char *verb)
{
    int status = check_feed(command->session, command->choice.filter.feed);
    if (status != SL_EXIT_OK)
        return status;
    if (!strcmp(verb, "list"))
        return sl_dead_list(command);
    if (!strcmp(verb, "show"))
        return sl_dead_show(command);
    return !strcmp(verb, "drop") ? sl_dead_drop(command) : sl_dead_replay(command);
}

static int work(struct sl_session *session)
{
    const struct sl_options *options = session->options;
    struct sl_dead_command command = {.session = session, .json = options->json};
    struct sl_err err;
    struct sl_arena arena;
    int status;
    sl_arena_init(&arena, 4096);
    bool needs_filter = !strcmp(options->topic, "drop") || !strcmp(options->topic, "replay");
    if (sl_letter_choose(options, &arena, &command.choice, &err) != SL_OK) {
        status = usage(&err);
    } else if (needs_filter && !command.choice.filtered && !options->all) {
        sl_err_set(&err, SL_CONFIG, "dead %s needs to know which: a filter, or --all",
                   options->topic);
        status = usage(&err);
    } else {
        status = do_verb(&command, options->topic);
    }
    sl_arena_done(&arena);
    return status;
}

int sl_cmd_dead(const struct sl_options *options)
{
    struct sl_err err;
    if (!options->topic) {
        sl_err_set(&err, SL_CONFIG, "dead needs a word: list, show, replay or drop");
        return usage(&err);
    }
    if (strcmp(options->topic, "list") && strcmp(options->topic, "show") &&
        strcmp(options->topic, "replay") && strcmp(options->topic, "drop"))
        return unknown_verb(options->topic);
    if (check(options, &err) != SL_OK)
        return usage(&err);
    if (options->letters.codes) {
        sl_letter_codes(options->json, stdout);
        return SL_EXIT_OK;
    }
    return sl_session_run(options, work);
}
