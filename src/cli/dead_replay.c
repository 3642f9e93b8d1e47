/* sluice dead replay. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/dead.h"
#include "loop/fiber.h"
#include "replay/replay.h"
#include "sink/amqp.h"
#include "sink/mongo.h"

enum {
    CONNECT_MS = 5000,
    LEDGER_WAIT_MS = 60 * 1000,
    TOLD_MAX = 20, /* letters that are named one by one */
    WATCH_MS = 3000,
};

struct replaying {
    struct sl_dead_command *command;
    bool dry_run;
    struct sl_replay_result letters;
    uint64_t messages, messages_left; /* published again; that cannot be */
    bool too_much;                    /* messages that nobody looked at */
    uint64_t told;
};

/* --- what is told --- */

/* what: "refused", or "again" for a row that failed once more. */
static void tell(struct replaying *replaying, const char *id, const char *what, const char *why)
{
    if (replaying->command->json) {
        struct sl_buf line;
        sl_buf_init(&line);
        sl_buf_add_text(&line, "{\"id\":");
        sl_buf_add_json_text(&line, id);
        sl_buf_printf(&line, ",\"%s\":", what);
        sl_buf_add_json_text(&line, why);
        printf("%s}\n", line.data);
        sl_buf_done(&line);
    } else if (replaying->told < TOLD_MAX) {
        printf("%s %s: %s\n", id,
               strcmp(what, "again") != 0 ? "stays"
               : replaying->dry_run       ? "would fail again"
                                          : "failed again",
               why);
    }
    replaying->told++;
}

static void tell_of(struct replaying *replaying, const struct sl_letter *letter, const char *what,
                    const char *why)
{
    struct sl_buf id;
    sl_buf_init(&id);
    sl_letter_id(letter, &id);
    tell(replaying, id.data, what, why);
    sl_buf_done(&id);
}

static void on_refused(void *ctx, const struct sl_letter *letter, const char *why)
{
    tell_of(ctx, letter, "refused", why);
}

static void on_again(void *ctx, const struct sl_letter *letter, const char *reason)
{
    char *masked = sl_letter_masked_reason(reason);
    sl_text_clean(masked);
    tell_of(ctx, letter, "again", masked);
    free(masked);
}

static void print_letters(const struct replaying *replaying)
{
    const struct sl_replay_result *r = &replaying->letters;
    if (replaying->dry_run) {
        printf("%" PRIu64 " letter%s found: %" PRIu64 " would be replayed, %" PRIu64
               " would fail again, %" PRIu64 " cannot be.\n",
               r->found, sl_dead_plural(r->found), r->rows, r->again, r->refused);
        return;
    }
    printf("%" PRIu64 " letter%s found: %" PRIu64 " replayed and gone (applied %" PRIu64
           ", stale %" PRIu64 "), %" PRIu64 " failed again, %" PRIu64 " cannot be replayed.\n",
           r->found, sl_dead_plural(r->found), r->removed, r->applied, r->stale, r->again,
           r->refused);
    if (*r->run)
        printf("sluice audit --run %s shows the books.\n", r->run);
}

static void print_text(const struct replaying *replaying)
{
    const struct sl_letter_choice *choice = &replaying->command->choice;
    if (replaying->told > TOLD_MAX)
        printf("… and %" PRIu64 " more stay.\n", replaying->told - TOLD_MAX);
    if (choice->letters)
        print_letters(replaying);
    if (choice->messages && (replaying->messages || replaying->messages_left || !choice->letters))
        printf("%" PRIu64 " message%s of the queue \"unreadable\" %s, %" PRIu64
               " cannot be replayed.\n",
               replaying->messages, sl_dead_plural(replaying->messages),
               replaying->dry_run ? "would be published again" : "published again",
               replaying->messages_left);
}

static void print_json(const struct replaying *replaying)
{
    const struct sl_replay_result *r = &replaying->letters;
    printf("{\"dry_run\":%s,\"found\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"applied\":%" PRIu64
           ",\"stale\":%" PRIu64 ",\"again\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"removed\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"messages_left\":%" PRIu64
           ",\"run\":\"%s\"}\n",
           replaying->dry_run ? "true" : "false", r->found, r->rows, r->applied, r->stale, r->again,
           r->refused, r->removed, replaying->messages, replaying->messages_left, r->run);
}

/* --- letters --- */

/* A broker that blocks publishing, or has no room, is waited for; but not in silence. */
static void watch(void *arg)
{
    const struct sl_sink *sink = arg;
    bool told = false;
    while (sl_fiber_sleep(WATCH_MS) == SL_OK) {
        const char *trouble = sl_sink_amqp_trouble(sink);
        const char *full = sl_sink_amqp_full(sink);
        if (trouble && !told)
            fprintf(stderr, "sluice: waiting: %s\n", trouble);
        else if (full && !told)
            fprintf(stderr, "sluice: waiting: queue '%s' is full; are the appliers running?\n",
                    full);
        told = trouble || full;
    }
}

static int replay_letters(struct replaying *replaying)
{
    struct sl_session *session = replaying->command->session;
    const struct sl_letter_choice *choice = &replaying->command->choice;
    struct sl_err err = {0};
    struct sl_state *state = sl_session_state(session);
    struct sl_broker *broker = state ? sl_session_broker(session) : NULL;
    if (!broker)
        return SL_EXIT_FAILED;
    struct sl_sink *sink = sl_sink_amqp_new(broker, session->settings->mongo.database,
                                            sl_config_collection, session->config);
    uint64_t wait_ms = choice->wait_ms ? choice->wait_ms : LEDGER_WAIT_MS;
    const struct sl_replay_options options = {
        .config = session->config,
        .state = state,
        .sink = sink,
        .tombstone_ttl_ms = session->settings->mongo.tombstone_ttl_ms,
        .rate = choice->rate ? choice->rate : SL_REPLAY_RATE,
        .limit = choice->limit,
        .ledger_wait_ms = wait_ms,
        .dry_run = replaying->dry_run,
        .refused = on_refused,
        .again = on_again,
        .ctx = replaying,
    };
    sl_sink_amqp_limit_wait(sink, wait_ms);
    struct sl_fiber *watcher = sl_fiber_spawn_joinable("replay.watch", watch, sink);
    int rc = replaying->dry_run ? SL_OK : sink->type->ping(sink, sl_deadline_in(CONNECT_MS), &err);
    if (rc == SL_OK)
        rc = sl_replay(&options, &choice->filter, &replaying->letters, &err);
    sl_fiber_cancel(watcher);
    sl_fiber_join(watcher);
    sink->type->close(sink);
    return rc == SL_OK ? SL_EXIT_OK : sl_session_fail(&err);
}

/* --- messages --- */

/* Its rows must not bring back what was deleted after they were read. */
static const char *why_too_old(const struct sl_batch *batch, int64_t life_ms)
{
    int64_t at_ms = batch->origin.read_at_ms;
    if (!at_ms)
        at_ms = batch->published_at_us / 1000;
    if (!at_ms)
        return "it does not say when its rows were read (read_at) nor when it was published "
               "(published_at), so that it might bring a deleted document back: publish it again "
               "from its producer, with one of them";
    return at_ms > sl_wall_ms() - life_ms
               ? NULL
               : "it is older than deletions are remembered (mongo.tombstone_ttl), so that it "
                 "might bring a deleted document back: drop it, and read the source again "
                 "(sluice refresh FEED)";
}

static const char *why_not(const struct replaying *replaying, const struct sl_unreadable *message)
{
    struct sl_session *session = replaying->command->session;
    int64_t life_ms = (int64_t)session->settings->mongo.tombstone_ttl_ms;
    if (sl_unreadable_is_large(message))
        return "it is larger than broker.max_message: raise that, for the appliers too, and replay "
               "again; or drop it";
    if (!sl_unreadable_can_publish(session->broker, message))
        return "it could not be read again either: drop it, or mend its producer";
    if (!message->batch) /* an event: its row will be read as it is now */
        return NULL;
    const char *too_old = why_too_old(message->batch, life_ms);
    if (too_old)
        return too_old;
    const struct sl_origin *origin = &message->batch->origin;
    if (origin->collection)
        return sl_sink_mongo_place_wrong(&session->settings->mongo, origin);
    if (!sl_config_route(session->config, message->feed, message->entity))
        return "it does not say where its rows go, and the configuration does not name its feed "
               "and entity";
    return NULL;
}

static bool is_enough(const struct replaying *replaying)
{
    uint64_t limit = replaying->command->choice.limit;
    return limit &&
           replaying->letters.found + replaying->messages + replaying->messages_left >= limit;
}

static enum sl_unreadable_fate judge(void *ctx, const struct sl_unreadable *message)
{
    struct replaying *replaying = ctx;
    const struct sl_letter_choice *choice = &replaying->command->choice;
    if (!sl_letter_chosen(choice, message) || is_enough(replaying))
        return SL_UNREADABLE_LEAVE;
    const char *why = why_not(replaying, message);
    if (why) {
        char id[64];
        snprintf(id, sizeof id, SL_UNREADABLE_ID "%016" PRIx64, message->hash);
        replaying->messages_left++;
        tell(replaying, id, "refused", why);
        return SL_UNREADABLE_LEAVE;
    }
    replaying->messages++;
    return replaying->dry_run ? SL_UNREADABLE_LEAVE : SL_UNREADABLE_PUBLISH;
}

static int replay_messages(struct replaying *replaying)
{
    struct sl_err err = {0};
    struct sl_unreadable_result result;
    struct sl_broker *broker = sl_session_broker(replaying->command->session);
    if (!broker)
        return SL_EXIT_FAILED;
    int rc = sl_unreadable_walk(broker, judge, replaying, &result, &err);
    if (!replaying->dry_run) {
        if (rc == SL_OK)
            replaying->messages_left += replaying->messages - result.published;
        replaying->messages = result.published;
    }
    if (rc != SL_OK)
        return sl_session_fail(&err);
    replaying->too_much =
        !is_enough(replaying) &&
        sl_dead_tell_left(replaying->command, result.left,
                          replaying->messages + replaying->messages_left, "replay again");
    return SL_EXIT_OK;
}

int sl_dead_replay(struct sl_dead_command *command)
{
    struct replaying replaying = {.command = command,
                                  .dry_run = command->session->options->dry_run};
    int status = command->choice.letters ? replay_letters(&replaying) : SL_EXIT_OK;
    if (status == SL_EXIT_OK && command->choice.messages)
        status = replay_messages(&replaying);
    if (status != SL_EXIT_OK && !replaying.letters.found && !replaying.messages && !replaying.told)
        return status; /* nobody looked: that none was found would be no news */
    if (command->json)
        print_json(&replaying);
    else
        print_text(&replaying);
    bool left = replaying.letters.refused || replaying.letters.again || replaying.messages_left ||
                replaying.too_much;
    return status == SL_EXIT_OK && left ? SL_EXIT_FAILED : status;
}
