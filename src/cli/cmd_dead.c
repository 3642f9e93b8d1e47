/* sluice dead: the rows and messages that could not be delivered. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/dead.h"
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

static int work(struct sl_session *session)
{
    const struct sl_options *options = session->options;
    struct sl_dead_command command = {.session = session, .json = options->json};
    struct sl_err err;
    struct sl_arena arena;
    int status;
    sl_arena_init(&arena, 4096);
    if (sl_letter_choose(options, &arena, &command.choice, &err) != SL_OK)
        status = usage(&err);
    else if (!strcmp(options->topic, "list"))
        status = sl_dead_list(&command);
    else if (!strcmp(options->topic, "show"))
        status = sl_dead_show(&command);
    else if (!command.choice.filtered && !options->all) {
        sl_err_set(&err, SL_CONFIG, "dead %s needs to know which: a filter, or --all",
                   options->topic);
        status = usage(&err);
    } else if (!strcmp(options->topic, "drop"))
        status = sl_dead_drop(&command);
    else
        status = sl_dead_replay(&command);
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
