/* A small shape for the tests: two sections, one kind of source with schedule and entities, one
 * without. */
#ifndef SL_TEST_CONFIG_SHAPE_H
#define SL_TEST_CONFIG_SHAPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config/check.h"
#include "config/config.h"

struct test_tls {
    char *ca_file;
    bool verify;
};

struct test_broker {
    char *url;
    int queue_type;
    int64_t window;
    uint64_t heartbeat_ms;
    char **hosts;
    struct test_tls tls;
};

struct test_mail {
    char *host;
    char *password;
    uint64_t max_bytes;
};

struct test_settings {
    struct test_broker broker;
    struct test_mail mail;
};

struct test_auth {
    char *secret;
};

struct test_source {
    char *url;
    struct test_auth auth;
};

struct test_feed {
    char *project;
};

static const char *const test_amqp[] = {"amqp", "amqps", NULL};
static const char *const test_https[] = {"https", NULL};
static const char *const test_queues[] = {"quorum", "classic", NULL};

static const struct sl_setting test_tls_table[] = {
    {.name = "ca_file",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct test_tls, ca_file),
     .help = "File."},
    {.name = "verify",
     .kind = SL_SET_BOOL,
     .offset = offsetof(struct test_tls, verify),
     .fallback = "true",
     .help = "Whether."},
    {0                   },
};

static const struct sl_setting test_broker_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = offsetof(struct test_broker, url),
     .required = true,
     .choices = test_amqp,
     .help = "Where."},
    {.name = "queue_type",
     .kind = SL_SET_CHOICE,
     .offset = offsetof(struct test_broker, queue_type),
     .fallback = "quorum",
     .choices = test_queues,
     .help = "Which."},
    {.name = "window",
     .kind = SL_SET_INT,
     .offset = offsetof(struct test_broker, window),
     .fallback = "64",
     .minimum = 1,
     .maximum = 1000,
     .help = "How many."},
    {.name = "heartbeat",
     .kind = SL_SET_DURATION,
     .offset = offsetof(struct test_broker, heartbeat_ms),
     .fallback = "30s",
     .minimum = 1000,
     .maximum = 60000,
     .help = "How often."},
    {.name = "hosts",
     .kind = SL_SET_LIST,
     .offset = offsetof(struct test_broker, hosts),
     .fallback = "localhost",
     .help = "Whom."},
    {.name = "tls",
     .kind = SL_SET_SECTION,
     .offset = offsetof(struct test_broker, tls),
     .section = test_tls_table,
     .help = "How."},
    {0                 },
};

static const struct sl_setting test_mail_table[] = {
    {.name = "host",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct test_mail, host),
     .required = true,
     .help = "Where."},
    {.name = "password",
     .kind = SL_SET_SECRET,
     .offset = offsetof(struct test_mail, password),
     .help = "Secret."},
    {.name = "max_bytes",
     .kind = SL_SET_SIZE,
     .offset = offsetof(struct test_mail, max_bytes),
     .fallback = "1MiB",
     .minimum = 1024,
     .maximum = 1 << 30,
     .help = "How much."},
    {0                                  },
};

static const struct sl_setting test_auth_table[] = {
    {.name = "secret",
     .kind = SL_SET_SECRET,
     .offset = offsetof(struct test_auth, secret),
     .required = true,
     .help = "Secret."},
    {0},
};

static const struct sl_setting test_source_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = offsetof(struct test_source, url),
     .required = true,
     .choices = test_https,
     .help = "Where."},
    {.name = "auth",
     .kind = SL_SET_SECTION,
     .offset = offsetof(struct test_source, auth),
     .required = true,
     .section = test_auth_table,
     .help = "Who."},
    {0                     },
};

static const struct sl_setting test_feed_table[] = {
    {.name = "project",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct test_feed, project),
     .required = true,
     .help = "What."},
    {0},
};

static const struct sl_config_section test_sections[] = {
    {"broker",           "Broker.", test_broker_table, offsetof(struct test_settings, broker), true},
    {"mail", "Mail.", test_mail_table, offsetof(struct test_settings, mail), false},
    {0          },
};

static void test_check(const struct sl_config *config, struct sl_problems *problems);

static const struct sl_config_type test_file_type = {
    .name = "files",
    .summary = "Files",
    .source_table = test_source_table,
    .source_bytes = sizeof(struct test_source),
    .feed_table = test_feed_table,
    .feed_bytes = sizeof(struct test_feed),
    .entities = SL_ENTITIES_LISTED,
    .schedule_required = true,
    .check = test_check,
};

static const char *test_project(const struct sl_feed_config *feed)
{
    bool ours = feed->settings && feed->source->type == &test_file_type;
    const char *project = ours ? ((const struct test_feed *)feed->settings)->project : NULL;
    return project ? project : "";
}

/* Notes neighbours that name one project. */
static void test_check(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 1; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i], *before = feed - 1;
        struct sl_json_place at = sl_config_place(feed->json, "project", 0);
        if (*test_project(feed) && !strcmp(test_project(before), test_project(feed)))
            sl_problem_error(problems, at.line, at.column,
                             "feeds.%s and feeds.%s run the same project", before->name,
                             feed->name);
    }
}

static const struct sl_config_type test_table_type = {
    .name = "tables",
    .summary = "Tables",
    .source_table = test_source_table,
    .source_bytes = sizeof(struct test_source),
    .feed_table = test_feed_table,
    .feed_bytes = sizeof(struct test_feed),
    .entities = SL_ENTITIES_LISTED,
};

static const struct sl_config_type *const test_types[] = {&test_file_type, &test_table_type, NULL};

static const struct sl_config_shape test_shape = {
    .sections = test_sections,
    .types = test_types,
    .settings_bytes = sizeof(struct test_settings),
};

#endif
