#include "source/listen_settings.h"

#include <stddef.h>
#include <string.h>

#include "config/check.h"
#include "config/problems.h"
#include "config/shape.h"
#include "http/listen.h"

#define TLS(field) offsetof(struct sl_listen_tls, field)

const struct sl_setting sl_listen_tls_table[] = {
    {.name = "certificate",
     .kind = SL_SET_TEXT,
     .offset = TLS(certificate),
     .required = true,
     .help = "PEM file of the certificate to show, and of those that signed it"},
    {.name = "key",
     .kind = SL_SET_TEXT,
     .offset = TLS(key),
     .required = true,
     .help = "PEM file of that certificate's key"},
    {0},
};

const struct sl_listen_settings *sl_listen_of(const struct sl_source_config *source)
{
    if (!source->settings || !source->type->listen)
        return NULL;
    return source->type->listen(source->settings);
}

static bool is_at(const struct sl_listen_settings *listen, const char *address)
{
    return listen && listen->address && !strcmp(listen->address, address);
}

static void raise_to(int64_t *limit, int64_t other)
{
    if (*limit < other)
        *limit = other;
}

static void raise_amount(uint64_t *limit, uint64_t other)
{
    if (*limit < other)
        *limit = other;
}

void sl_listen_share(const struct sl_config *config, const char *address,
                     struct sl_listen_settings *ret)
{
    *ret = (struct sl_listen_settings){0};
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_listen_settings *listen = sl_listen_of(&config->sources[i]);
        if (!is_at(listen, address))
            continue;
        ret->address = listen->address;
        if (listen->tls.certificate)
            ret->tls = listen->tls;
        raise_amount(&ret->max_body_bytes, listen->max_body_bytes);
        raise_amount(&ret->request_timeout_ms, listen->request_timeout_ms);
        raise_to(&ret->max_connections, listen->max_connections);
        raise_to(&ret->max_rate, listen->max_rate);
    }
}

static bool differs(const char *a, const char *b)
{
    return a && b && strcmp(a, b) != 0;
}

/* One listener shows one certificate, and one port has one listener. */
static void check_pair(const struct sl_source_config *first, const struct sl_source_config *second,
                       struct sl_problems *problems)
{
    const struct sl_listen_settings *theirs = sl_listen_of(first), *ours = sl_listen_of(second);
    struct sl_json_place at = sl_config_place(second->json, "listen", 0);
    if (!theirs || !theirs->address)
        return;
    if (!is_at(theirs, ours->address)) {
        if (sl_listen_overlap(theirs->address, ours->address))
            sl_problem_error(problems, at.line, at.column,
                             "sources.%s.listen has the port of sources.%s (\"%.60s\"): write both "
                             "alike to share one listener",
                             second->name, first->name, theirs->address);
        return;
    }
    at = sl_config_place(second->json, "tls", 0);
    if (differs(ours->tls.certificate, theirs->tls.certificate) ||
        differs(ours->tls.key, theirs->tls.key))
        sl_problem_error(problems, at.line, at.column,
                         "sources.%s.tls is not that of sources.%s, which listens at \"%.60s\", "
                         "too: they share one listener and so one certificate",
                         second->name, first->name, ours->address);
}

/* Whether the listener at address speaks TLS, by any of the sources that share it. */
static bool is_encrypted(const struct sl_config *config, const char *address)
{
    struct sl_listen_settings shared;
    sl_listen_share(config, address, &shared);
    return shared.tls.certificate != NULL;
}

/* A proxy on another machine may stand before it, so it is only said. */
static void warn_plain(const struct sl_config *config, const struct sl_source_config *source,
                       struct sl_json_place at, struct sl_problems *problems)
{
    const char *address = sl_listen_of(source)->address;
    if (!sl_listen_is_local(address) && !is_encrypted(config, address))
        sl_problem_warning(problems, at.line, at.column,
                           "sources.%s.listen: what is posted to \"%.60s\", secrets too, is not "
                           "encrypted; \"tls\" does it, or a proxy on this machine before "
                           "127.0.0.1",
                           source->name, address);
}

void sl_listen_check(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_source_config *source = &config->sources[i];
        const struct sl_listen_settings *listen = sl_listen_of(source);
        struct sl_json_place at = sl_config_place(source->json, "listen", 0);
        struct sockaddr_storage parsed;
        socklen_t length;
        struct sl_err err;
        if (!listen || !listen->address)
            continue;
        if (sl_listen_parse(listen->address, &parsed, &length, &err) != SL_OK)
            sl_problem_error(problems, at.line, at.column, "sources.%s.listen: %s", source->name,
                             err.message);
        warn_plain(config, source, at, problems);
        for (size_t j = 0; j < i; j++)
            check_pair(&config->sources[j], source, problems);
    }
}

void sl_listen_check_apart(const struct sl_config *config, const char *what, const char *address,
                           struct sl_problems *problems)
{
    for (size_t i = 0; address && i < config->source_count; i++) {
        const struct sl_source_config *source = &config->sources[i];
        const struct sl_listen_settings *listen = sl_listen_of(source);
        struct sl_json_place at = sl_config_place(source->json, "listen", 0);
        if (listen && listen->address && sl_listen_overlap(listen->address, address))
            sl_problem_error(problems, at.line, at.column,
                             "sources.%s.listen has the port of %s (\"%.60s\"): choose another",
                             source->name, what, address);
    }
}
