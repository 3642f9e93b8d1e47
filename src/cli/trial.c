#include "cli/trial.h"

#include <stdlib.h>
#include <unistd.h>

#include "cli/registry.h"
#include "config/check.h"
#include "config/secret_file.h"
#include "http/listen.h"
#include "http/server.h"
#include "http/trust.h"
#include "mongo/client.h"
#include "source/auth_check.h"
#include "source/listen_settings.h"

/* --- files --- */

/* A key that others may read is no secret. */
static void doubt_file(const char *file, const char *what, struct sl_json_place at,
                       struct sl_problems *problems)
{
    char doubt[SL_DOUBT_BYTES];
    if (file && sl_secret_file_doubt(file, doubt))
        sl_problem_warning(problems, at.line, at.column, "%s: %s", what, doubt);
}

static void try_broker(const struct sl_config *config, const struct sl_broker_settings *settings,
                       struct sl_problems *problems)
{
    struct sl_err err;
    struct sl_broker *broker = sl_broker_new(settings, &err);
    const char *path = sl_config_said(config->json, "broker.tls") ? "broker.tls" : "broker.url";
    struct sl_json_place at = sl_config_place(config->json, path, 0);
    if (!broker)
        sl_problem_error(problems, at.line, at.column, "%s", err.message);
    sl_broker_free(broker);
    doubt_file(settings->tls.key, "broker.tls.key",
               sl_config_place(config->json, "broker.tls.key", 0), problems);
}

static void try_mongo(const struct sl_config *config, const struct sl_mongo_settings *settings,
                      struct sl_problems *problems)
{
    struct sl_err err;
    struct sl_mongo *mongo = sl_mongo_new(settings, &err);
    struct sl_json_place at = sl_config_place(config->json, "mongo.url", 0);
    if (!mongo)
        sl_problem_error(problems, at.line, at.column, "%s", err.message);
    sl_mongo_free(mongo);
    char *key = sl_mongo_key_file(settings->url);
    doubt_file(key, "mongo.url", at, problems);
    free(key);
}

/* The system's own bundle is not the configuration's affair, and takes its time. */
static void try_http(const struct sl_config *config, const struct sl_http_options *settings,
                     struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(config->json, "http.ca_file", 0);
    struct sl_err err;
    if (settings->ca_file && sl_trust_check(settings->ca_file, &err) != SL_OK)
        sl_problem_error(problems, at.line, at.column, "http.ca_file: %s", err.message);
}

/* Where nothing is listened to, the files need not be. */
static void try_listener(const struct sl_config *config, const struct sl_source_config *source,
                         struct sl_problems *problems)
{
    const struct sl_listen_settings *listen = sl_listen_of(source);
    const struct sl_listen_tls *tls = listen && sl_config_ingests(config) ? &listen->tls : NULL;
    struct sl_json_place at = sl_config_place(source->json, "tls", 0);
    struct sl_err err;
    if (tls && tls->certificate && tls->key &&
        sl_http_server_check_tls(tls->certificate, tls->key, &err) != SL_OK)
        sl_problem_error(problems, at.line, at.column, "sources.%s.tls: %s", source->name,
                         err.message);
    if (tls)
        doubt_file(tls->key, "tls.key", at, problems);
}

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    sl_registry_shape.check(config, problems);
    const struct sl_settings *settings = config->settings;
    if (settings->broker.url)
        try_broker(config, &settings->broker, problems);
    if (settings->mongo.url)
        try_mongo(config, &settings->mongo, problems);
    try_http(config, &settings->http, problems);
    for (size_t i = 0; i < config->source_count; i++) {
        try_listener(config, &config->sources[i], problems);
        if (sl_config_ingests(config))
            sl_auth_try_files(&config->sources[i], problems);
    }
}

struct sl_config_shape sl_trial_shape(const int *role)
{
    struct sl_config_shape shape = sl_registry_shape;
    shape.role = *role >= 0 ? role : NULL;
    shape.check = check;
    return shape;
}

/* --- addresses --- */

/* The places where a configuration listens: the operators' first, then those of its sources. NULL:
 * at place `at` nothing does. */
static const char *address_at(const struct sl_config *config, size_t at)
{
    const struct sl_settings *settings = config->settings;
    if (!at)
        return settings->ops.listen && *settings->ops.listen ? settings->ops.listen : NULL;
    const struct sl_listen_settings *listen = sl_listen_of(&config->sources[at - 1]);
    return listen && sl_config_ingests(config) ? listen->address : NULL;
}

static bool in_use_by(const struct sl_config *running, const char *address)
{
    for (size_t i = 0; i <= running->source_count; i++) {
        const char *own = address_at(running, i);
        if (own && sl_listen_overlap(own, address))
            return true;
    }
    return false;
}

int sl_trial_addresses(const struct sl_config *running, const struct sl_config *next,
                       struct sl_err *err)
{
    for (size_t i = 0; i <= next->source_count; i++) {
        const char *address = address_at(next, i);
        uint16_t port;
        int fd;
        if (!address || in_use_by(running, address))
            continue;
        if (sl_listen_open(address, &fd, &port, err) != SL_OK)
            return err->code;
        close(fd);
    }
    return SL_OK;
}
