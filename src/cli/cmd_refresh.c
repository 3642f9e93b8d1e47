/* sluice refresh: asks for a full refresh through the state, and shows what becomes of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/feed_named.h"
#include "cli/kinds.h"
#include "cli/refresh_show.h"
#include "cli/session.h"
#include "dataverse/settings.h"
#include "dmf/settings.h"
#include "loop/fiber.h"

enum { LOOK_EVERY_MS = 250 };

struct refreshing {
    const struct sl_options *options;
    const struct sl_config *config;
    struct sl_state *state;
    const struct sl_feed_config **feeds; /* to be refreshed */
    size_t feed_count;
    FILE *talk; /* of what happens; a dry run's stdout is its list alone */
    int status;
};

/* --- what may be asked for --- */

static bool can_be_read_in_full(const struct sl_feed_config *feed)
{
    const struct sl_kind *kind = sl_kind_of(feed->source->type);
    const struct sl_dmf_feed_settings *dmf = feed->settings;
    const char *why = NULL;
    if (!kind->refresh)
        why = kind->no_refresh;
    else if (feed->source->type == &sl_dmf_config_type && !dmf->full_definition_group)
        why = "it has no full_definition_group: make a second data project with the same entities "
              "and full push, and name it there";
    if (why)
        fprintf(stderr, "sluice: feed '%s' cannot be read in full: %s\n", feed->name, why);
    return !why;
}

static bool may_reset(const struct sl_options *options, const struct sl_feed_config *feed)
{
    const char *source = feed->source->name;
    if (feed->source->type != &sl_dataverse_config_type) {
        fprintf(stderr,
                "sluice: the versions of feed '%s' are sluice's own and always rise: a refresh "
                "without --reset-versions makes a restored environment win\n",
                feed->name);
        return false;
    }
    if (options->dry_run) {
        fprintf(stderr, "sluice: --reset-versions cannot be tried: leave out --dry-run\n");
        return false;
    }
    if (options->refresh.force ||
        (options->refresh.confirm && !strcmp(options->refresh.confirm, source)))
        return true;
    fprintf(stderr,
            "sluice: --reset-versions makes every row of source '%s' win over what is stored, and "
            "refreshes all its feeds; if its environment was restored, add --confirm %s\n",
            source, source);
    return false;
}

/* The feed alone, or all of its source. */
static void collect(struct refreshing *refreshing, const struct sl_feed_config *feed)
{
    const struct sl_config *config = refreshing->config;
    refreshing->feeds = sl_calloc(config->feed_count, sizeof(void *));
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *one = &config->feeds[i];
        if (one == feed ||
            (refreshing->options->refresh.reset_versions && one->source == feed->source))
            refreshing->feeds[refreshing->feed_count++] = one;
    }
}

/* --- asking --- */

/* SL_REJECTED: an open one that is not what is asked for now. */
static int check(const struct refreshing *refreshing, const struct sl_refresh *now,
                 struct sl_err *err)
{
    const struct sl_options *options = refreshing->options;
    if (!sl_refresh_is_open(now) ||
        (now->dry_run == options->dry_run && now->force == options->refresh.force &&
         (now->reset[0] != '\0') == options->refresh.reset_versions))
        return SL_OK;
    return sl_err_set(err, SL_REJECTED,
                      "a refresh of '%s' with other options is under way (number %" PRId64
                      ", %s); ask again when it has ended",
                      now->feed, now->number, sl_refresh_state_name(now->state));
}

/* Before anything is written: a reset of some feeds hides what the others read. */
static int check_all(struct refreshing *refreshing, struct sl_err *err)
{
    struct sl_state *state = refreshing->state;
    struct sl_refresh *now = SL_NEW(struct sl_refresh);
    int rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < refreshing->feed_count; i++) {
        rc = state->type->refresh_get(state, refreshing->feeds[i]->name, now, err);
        rc = rc == SL_OK ? check(refreshing, now, err) : rc == SL_NOTFOUND ? SL_OK : rc;
    }
    free(now);
    return rc;
}

static int ask_one(struct refreshing *refreshing, const char *feed, const char *reset,
                   struct sl_err *err)
{
    const struct sl_options *options = refreshing->options;
    struct sl_refresh *wanted = SL_NEW(struct sl_refresh), *now = SL_NEW(struct sl_refresh);
    bool joined = false;
    snprintf(wanted->feed, sizeof wanted->feed, "%s", feed);
    snprintf(wanted->reset, sizeof wanted->reset, "%s", reset);
    wanted->dry_run = options->dry_run;
    wanted->force = options->refresh.force;
    int rc = refreshing->state->type->refresh_ask(refreshing->state, wanted, now, &joined, err);
    if (rc == SL_OK && joined) /* perhaps since they were checked */
        rc = check(refreshing, now, err);
    if (rc == SL_OK)
        fprintf(refreshing->talk, "%s: refresh %" PRId64 " %s\n", feed, now->number,
                joined ? "is under way already" : "was asked for");
    free(wanted);
    free(now);
    return rc;
}

/* One name for all feeds: the versions of their source begin anew once. */
static int ask_all(struct refreshing *refreshing, struct sl_err *err)
{
    char reset[SL_REFRESH_NAME_BYTES] = "";
    uint64_t chance;
    size_t asked = 0;
    int rc = SL_OK;
    arc4random_buf(&chance, sizeof chance);
    if (refreshing->options->refresh.reset_versions)
        snprintf(reset, sizeof reset, "%016" PRIx64, chance);
    while (asked < refreshing->feed_count &&
           (rc = ask_one(refreshing, refreshing->feeds[asked]->name, reset, err)) == SL_OK)
        asked++;
    if (asked && asked < refreshing->feed_count)
        fprintf(stderr,
                "sluice: %zu of %zu feeds were asked for; the versions of '%s' do begin anew: ask "
                "again\n",
                asked, refreshing->feed_count, refreshing->feeds[0]->source->name);
    return rc;
}

/* --- waiting --- */

static int wait_for_one(struct refreshing *refreshing, const struct sl_feed_config *feed,
                        struct sl_err *err)
{
    struct sl_refresh_show show = {
        .state = refreshing->state, .feed = feed, .talk = refreshing->talk};
    struct sl_refresh *now = SL_NEW(struct sl_refresh);
    int rc;
    do {
        rc = refreshing->state->type->refresh_get(refreshing->state, feed->name, now, err);
        if (rc == SL_OK)
            sl_refresh_show_progress(&show, now);
        else if (sl_code_transient(rc))
            sl_refresh_show_trouble(&show, err);
        else
            break;
        if (rc == SL_OK && !sl_refresh_is_open(now))
            break;
        rc = sl_fiber_sleep(LOOK_EVERY_MS);
    } while (rc == SL_OK);
    if (rc == SL_OK)
        rc = sl_refresh_show_end(&show, now, err);
    if (rc == SL_OK && now->state == SL_REFRESH_DONE)
        refreshing->status = SL_EXIT_OK;
    else
        refreshing->status = SL_EXIT_FAILED;
    free(now);
    return rc;
}

static void wait_for_all(struct refreshing *refreshing, struct sl_err *err, int *rc)
{
    int worst = SL_EXIT_OK;
    fprintf(refreshing->talk, "waiting for the end; it goes on without this command\n");
    for (size_t i = 0; *rc == SL_OK && i < refreshing->feed_count; i++) {
        *rc = wait_for_one(refreshing, refreshing->feeds[i], err);
        if (refreshing->status != SL_EXIT_OK)
            worst = refreshing->status;
    }
    refreshing->status = worst;
}

static int refresh(struct refreshing *refreshing, struct sl_session *session)
{
    struct sl_err err = {0};
    refreshing->state = sl_session_state(session);
    if (!refreshing->state)
        return SL_EXIT_FAILED;
    int rc = check_all(refreshing, &err);
    if (rc == SL_OK)
        rc = ask_all(refreshing, &err);
    refreshing->status = SL_EXIT_OK;
    if (rc == SL_OK && !refreshing->options->refresh.no_wait)
        wait_for_all(refreshing, &err, &rc);
    return rc == SL_OK ? refreshing->status : sl_session_fail(&err);
}

static int work(struct sl_session *session)
{
    const struct sl_options *options = session->options;
    struct refreshing refreshing = {
        .options = options, .config = session->config, .talk = options->dry_run ? stderr : stdout};
    struct sl_err err = {0};
    const struct sl_feed_config *feed = sl_feed_named(session->config, options->topic, &err);
    if (!feed)
        return sl_session_fail(&err);
    if (!can_be_read_in_full(feed) ||
        (options->refresh.reset_versions && !may_reset(options, feed)))
        return SL_EXIT_FAILED;
    collect(&refreshing, feed);
    int status = refresh(&refreshing, session);
    free(refreshing.feeds);
    return status;
}

int sl_cmd_refresh(const struct sl_options *options)
{
    if (!options->topic) {
        fprintf(stderr, "sluice: refresh needs the name of a feed; sluice help refresh\n");
        return SL_EXIT_USAGE;
    }
    return sl_session_run(options, work);
}
