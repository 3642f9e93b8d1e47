#include "mongo/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <mongoc/mongoc.h>

#include "base/kill_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "mongo/cluster.h"
#include "mongo/direct.h"
#include "mongo/error.h"
#include "mongo/fields.h"
#include "mongo/member.h"
#include "mongo/srv.h"
#include "mongo/stream.h"
#include "mongo/uri.h"

enum {
    DIRECT_MS = 60 * 1000, /* as often as the driver looks around for the primary */
    LOOK_AFTER_MS = 1000,  /* a server may have closed a connection that was idle for so long */
};

struct client {
    struct client *next;
    mongoc_client_t *driver;
    struct sl_mongo_link link;
    mongoc_stream_t *primary; /* where commands go past the driver; NULL: ask it */
    uint64_t direct_until_ms; /* loop clock */
    uint64_t used_ms;
};

struct sl_mongo {
    struct sl_cluster cluster;
    struct sl_tls *tls;  /* shared by all connections; NULL: plain */
    struct client *idle; /* the last used one first */
    unsigned count, max_clients;
    int32_t socket_timeout_ms;
    uint64_t answered_ms; /* loop clock; 0: never */
    struct sl_waitlist waiting;
};

/* --- the driver as a whole --- */

static void on_driver_log(mongoc_log_level_t level, const char *domain, const char *message,
                          void *user_data)
{
    (void)user_data;
    if (level > MONGOC_LOG_LEVEL_WARNING)
        return;
    char text[SL_ERR_TEXT_BYTES];
    if (sl_mongo_uri_overhear(message))
        return;
    snprintf(text, sizeof text, "%s", message);
    sl_mongo_mask(text);
    sl_log(SL_DEBUG, "the MongoDB driver says", SL_T("domain", domain), SL_T("text", text));
}

static void start_driver(void)
{
    static bool started;
    if (started)
        return;
    started = true;
    sl_mongo_own_memory();
    setenv("MONGOC_DISABLE_SHM", "1", 1); /* its counters would leave a file in /dev/shm */
    mongoc_log_set_handler(on_driver_log, NULL);
    mongoc_init();
    atexit(mongoc_cleanup);
}

/* --- clients --- */

/* The driver leaves out whoever does not fit mongo.url, and does not say why. */
static void note_member(struct client *client, const bson_t *hello, const char *where)
{
    struct sl_err why, *trouble = &client->link.trouble;
    const char *set = mongoc_uri_get_replica_set(mongoc_client_get_uri(client->driver));
    if (sl_mongo_member_check(hello, set, where, &why) != SL_OK && trouble->code != SL_CONFIG)
        *trouble = why;
}

static void on_hello(const mongoc_apm_server_heartbeat_succeeded_t *event)
{
    note_member(mongoc_apm_server_heartbeat_succeeded_get_context(event),
                mongoc_apm_server_heartbeat_succeeded_get_reply(event),
                mongoc_apm_server_heartbeat_succeeded_get_host(event)->host_and_port);
}

static void listen_to_hello(struct client *client)
{
    mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();
    mongoc_apm_set_server_heartbeat_succeeded_cb(callbacks, on_hello);
    mongoc_client_set_apm_callbacks(client->driver, callbacks, client);
    mongoc_apm_callbacks_destroy(callbacks);
}

/* NULL: err tells. */
static struct client *client_new(struct sl_mongo *mongo, uint64_t deadline_ms, struct sl_err *err)
{
    mongo->count++; /* others may come while DNS is asked */
    if (sl_cluster_find(&mongo->cluster, deadline_ms, err) != SL_OK) {
        mongo->count--;
        sl_wake_one(&mongo->waiting);
        return NULL;
    }
    struct client *client = SL_NEW(struct client);
    client->link.tls = mongo->tls;
    client->driver = mongoc_client_new_from_uri(mongo->cluster.members);
    mongoc_client_set_error_api(client->driver, MONGOC_ERROR_API_VERSION_2);
    mongoc_client_set_stream_initiator(client->driver, sl_mongo_connect, &client->link);
    sl_mongo_hook(client->driver);
    listen_to_hello(client);
    return client;
}

/* The driver would say good-bye to the server and wait for the answer: it must not. */
static void client_free(struct sl_mongo *mongo, struct client *client)
{
    sl_mongo_rush(true);
    mongoc_client_destroy(client->driver);
    sl_mongo_rush(false);
    free(client);
    mongo->count--;
}

static void drop_idle(struct sl_mongo *mongo)
{
    while (mongo->idle) {
        struct client *client = mongo->idle;
        mongo->idle = client->next;
        client_free(mongo, client);
    }
}

static bool available(const struct sl_mongo *mongo)
{
    return mongo->idle || mongo->count < mongo->max_clients;
}

/* NULL when none became free in time, when cancelled, or when the members are not known: err tells.
 */
static struct client *take_client(struct sl_mongo *mongo, uint64_t deadline_ms, struct sl_err *err)
{
    while (!available(mongo)) {
        int rc = sl_wait(&mongo->waiting, deadline_ms);
        if (rc == SL_OK)
            continue;
        if (available(mongo))
            sl_wake_one(&mongo->waiting); /* the wake was ours; somebody else may use it */
        sl_err_set(err, (enum sl_code)rc, "waiting for one of %u connections to MongoDB, all busy",
                   mongo->max_clients);
        return NULL;
    }
    struct client *client = mongo->idle;
    if (client)
        mongo->idle = client->next;
    else if (!(client = client_new(mongo, deadline_ms, err)))
        return NULL;
    client->link.deadline_ms = deadline_ms;
    client->link.timed_out = client->link.cancelled = false;
    client->link.trouble = (struct sl_err){0};
    return client;
}

enum soundness { SOUND, WITHOUT_LOGIN, BROKEN };

/* After a failure of the connection or of the primary the idle clients are no better off. */
static void give_client(struct sl_mongo *mongo, struct client *client, enum soundness soundness)
{
    if (soundness == SOUND) {
        client->next = mongo->idle;
        mongo->idle = client;
    } else if (soundness == WITHOUT_LOGIN) {
        client_free(mongo, client); /* the next one logs in anew */
    } else {
        client_free(mongo, client);
        drop_idle(mongo);
        sl_cluster_doubt(&mongo->cluster);
    }
    sl_wake_one(&mongo->waiting);
}

/* --- commands --- */

/* The server stops a little before us: its answer tells more than our silence. */
static int64_t server_time_ms(uint64_t deadline_ms)
{
    if (deadline_ms == SL_FOREVER)
        return 0;
    uint64_t now_ms = sl_loop_now_ms();
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    left_ms -= left_ms / 10;
    return left_ms == 0 ? 1 : left_ms < INT32_MAX ? (int64_t)left_ms : INT32_MAX;
}

static bool wants_time_limit(const bson_t *command)
{
    const char *name = sl_command_name(command);
    return strcmp(name, "createIndexes") != 0 && !bson_has_field(command, "maxTimeMS");
}

/* What to look at after a refused login. */
static void advise_login(const mongoc_client_t *driver, char *out, size_t size)
{
    const mongoc_uri_t *uri = mongoc_client_get_uri(driver);
    const char *mechanism = mongoc_uri_get_auth_mechanism(uri);
    if (mechanism && strcasecmp(mechanism, "MONGODB-X509") == 0)
        snprintf(out, size, " It needs the user '%s' in its database $external.",
                 mongoc_uri_get_username(uri));
    else
        snprintf(out, size, " Check user, password and authSource in mongo.url.");
}

static int explain(const struct client *client, const char *name, const bson_error_t *error,
                   const bson_t *reply, struct sl_err *err)
{
    if (client->link.cancelled)
        return sl_err_set(err, SL_CANCELED, "MongoDB %s: cancelled", name);
    if (client->link.timed_out)
        return sl_err_set(err, SL_TIMEOUT, "MongoDB %s: no answer in time", name);

    char message[sizeof error->message];
    sl_mongo_reason((int32_t)error->code, error->message, message, sizeof message);
    sl_mongo_mask(message);
    int code = sl_mongo_error_code(error, reply);
    char advice[SL_ERR_TEXT_BYTES] = "";
    if (error->domain == MONGOC_ERROR_CLIENT && code == SL_CONFIG)
        advise_login(client->driver, advice, sizeof advice);
    sl_err_set(err, (enum sl_code)code, "MongoDB %s: %s%s", name, message, advice);
    const struct sl_err *trouble = &client->link.trouble;
    if (code == SL_CLOSED && trouble->code != SL_OK && !bson_has_field(reply, "ok")) {
        code = trouble->code == SL_CONFIG ? SL_CONFIG : SL_CLOSED;
        sl_err_set(err, (enum sl_code)code, "MongoDB %s: %s (%s)", name, trouble->message, message);
    }
    if (err)
        err->cause = (int)sl_field_int64(reply, "code", 0);
    return code;
}

/* A write may have been taken by a primary that is none any more. */
static bool steps_down(const bson_t *reply)
{
    bson_t fault;
    return sl_field_document(reply, "writeConcernError", &fault) &&
           sl_mongo_lost_primary((int32_t)sl_field_int64(&fault, "code", 0));
}

/* What is told of a command when its own bytes may be gone. */
struct label {
    char name[32], on[96]; /* "update", and of which collection */
    bool durable;
};

static void label_of(const bson_t *command, struct label *ret)
{
    snprintf(ret->name, sizeof ret->name, "%s", sl_command_name(command));
    ret->durable = SL_KILL_POINTS && bson_has_field(command, "writeConcern");
    if (ret->durable)
        sl_field_text(command, ret->name, ret->on, sizeof ret->on);
}

/* Around each command that asks for durability. */
static void kill_point(const struct label *label, bool before)
{
    char step[80];
    if (!label->durable)
        return;
    snprintf(step, sizeof step, "mongo %s %s", label->name, before ? "asked" : "answered");
    sl_kill_point(step, *label->on ? label->on : NULL);
}

/* The server has forgotten who we are: the user was dropped, and perhaps made anew, or a token ran
 * out. It stays so for as long as the connection lives. */
static bool is_logged_out(const bson_t *reply)
{
    enum { UNAUTHORIZED = 13, REAUTHENTICATION_REQUIRED = 391 };
    char text[SL_ERR_TEXT_BYTES];
    int64_t code = sl_field_int64(reply, "code", 0);
    sl_field_text(reply, "errmsg", text, sizeof text);
    return code == REAUTHENTICATION_REQUIRED ||
           (code == UNAUTHORIZED && strstr(text, "requires authentication"));
}

/* Did the server itself answer, and is it still the one to talk to? */
static enum soundness soundness_after(int rc, const bson_t *reply)
{
    if (rc == SL_OK)
        return steps_down(reply) ? BROKEN : SOUND;
    if (!bson_has_field(reply, "ok") || rc == SL_CLOSED || rc == SL_CANCELED)
        return BROKEN;
    return is_logged_out(reply) ? WITHOUT_LOGIN : SOUND;
}

static bool may_go_direct(const struct client *client, uint64_t now_ms)
{
    return client->primary && client->primary == client->link.heard &&
           now_ms < client->direct_until_ms &&
           (now_ms < client->used_ms + LOOK_AFTER_MS ||
            !mongoc_stream_check_closed(client->primary));
}

/* Finds the primary. Without replicaSet in mongo.url the driver is content with a mongod that
 * stands alone: we are not. */
static bool find_primary(struct client *client, bson_error_t *error)
{
    mongoc_server_description_t *server =
        mongoc_client_select_server(client->driver, true, NULL, error);
    if (!server)
        return false;
    const char *type = mongoc_server_description_type(server);
    bool alone = !strcmp(type, "Standalone") || !strcmp(type, "RSGhost");
    if (alone) {
        note_member(client, mongoc_server_description_hello_response(server),
                    mongoc_server_description_host(server)->host_and_port);
        bson_set_error(error, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
                       "nothing is sent to it");
    }
    mongoc_server_description_destroy(server);
    return !alone;
}

static bool ask_driver(struct client *client, const char *database, const bson_t *command,
                       int64_t time_ms, bson_t *ret_reply, bson_error_t *error)
{
    client->primary = NULL;
    if (!find_primary(client, error)) {
        bson_init(ret_reply);
        return false;
    }
    bson_t limited = BSON_INITIALIZER;
    if (time_ms) {
        bson_concat(&limited, command);
        BSON_APPEND_INT64(&limited, "maxTimeMS", time_ms);
        command = &limited;
    }
    bool good =
        mongoc_client_command_simple(client->driver, database, command, NULL, ret_reply, error);
    bson_destroy(&limited);
    if (good) { /* the last that it read was the answer of the primary */
        client->primary = client->link.heard;
        client->direct_until_ms = sl_deadline_in(DIRECT_MS);
    }
    return good;
}

int sl_mongo_command(struct sl_mongo *mongo, const char *database, const bson_t *command,
                     bson_t *ret_reply, uint64_t deadline_ms, struct sl_err *err)
{
    return sl_mongo_command_once(mongo, database, command, NULL, ret_reply, deadline_ms, err);
}

int sl_mongo_command_once(struct sl_mongo *mongo, const char *database, const bson_t *command,
                          const struct sl_mongo_sent *sent, bson_t *ret_reply, uint64_t deadline_ms,
                          struct sl_err *err)
{
    struct label label = {.durable = false};
    struct sl_err own; /* its code is read below */
    if (!err)
        err = &own;
    struct client *client = take_client(mongo, deadline_ms, err);
    if (!client) {
        bson_init(ret_reply);
        return (int)err->code;
    }
    int rc = SL_OK;
    bson_error_t error = {0};
    int64_t time_ms = wants_time_limit(command) ? server_time_ms(deadline_ms) : 0;
    label_of(command, &label);
    kill_point(&label, true);
    bool good = may_go_direct(client, sl_loop_now_ms())
                    ? sl_mongo_direct(client->primary, database, command, sent, time_ms,
                                      mongo->socket_timeout_ms, ret_reply, &error)
                    : ask_driver(client, database, command, time_ms, ret_reply, &error);
    client->used_ms = sl_loop_now_ms();
    if (good)
        mongo->answered_ms = client->used_ms;
    else
        rc = explain(client, label.name, &error, ret_reply, err);
    kill_point(&label, false);
    give_client(mongo, client, soundness_after(rc, ret_reply));
    return rc;
}

uint64_t sl_mongo_silent_ms(const struct sl_mongo *mongo)
{
    return mongo->answered_ms ? sl_loop_now_ms() - mongo->answered_ms : SL_FOREVER;
}

void sl_mongo_append_durable(bson_t *command, uint64_t deadline_ms)
{
    bson_t concern;
    BSON_APPEND_DOCUMENT_BEGIN(command, "writeConcern", &concern);
    BSON_APPEND_UTF8(&concern, "w", "majority");
    BSON_APPEND_BOOL(&concern, "j", true);
    BSON_APPEND_INT64(&concern, "wtimeout", server_time_ms(deadline_ms));
    bson_append_document_end(command, &concern);
}

/* --- life --- */

struct sl_mongo *sl_mongo_new(const struct sl_mongo_settings *settings, struct sl_err *err)
{
    struct sl_tls_options options;
    struct sl_tls *tls = NULL;
    start_driver();
    mongoc_uri_t *uri = sl_mongo_uri_new(settings->url, err);
    if (!uri)
        return NULL;
    if (sl_mongo_uri_tls(uri, &options)) {
        tls = sl_tls_new(&options, err);
        if (!tls) {
            sl_err_wrap(err, "mongo.url");
            mongoc_uri_destroy(uri);
            return NULL;
        }
    }
    struct sl_mongo *mongo = SL_NEW(struct sl_mongo);
    mongo->socket_timeout_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, -1);
    mongo->tls = tls;
    sl_cluster_init(&mongo->cluster, uri, sl_srv_is(settings->url), tls);
    mongo->max_clients = settings->max_clients > 0 ? (unsigned)settings->max_clients : 1;
    return mongo;
}

void sl_mongo_free(struct sl_mongo *mongo)
{
    if (!mongo)
        return;
    drop_idle(mongo);
    sl_cluster_done(&mongo->cluster);
    sl_tls_free(mongo->tls);
    free(mongo);
}
