/* The settings of a source that waits for requests instead of making them: where it listens, and
 * what it bears. Sources that name the same address share one listener. */
#ifndef SL_SOURCE_LISTEN_SETTINGS_H
#define SL_SOURCE_LISTEN_SETTINGS_H

#include <stdint.h>

#include "base/setting.h"
#include "config/config.h"

struct sl_listen_tls {
    char *certificate, *key; /* PEM files; both or neither (plain HTTP) */
};

struct sl_listen_settings {
    char *address; /* "host:port", see http/listen.h */
    struct sl_listen_tls tls;
    uint64_t max_body_bytes;     /* of this source's requests */
    int64_t max_connections;     /* of the listener */
    int64_t max_rate;            /* requests a second of the listener */
    uint64_t request_timeout_ms; /* by then a request must have come in whole */
};

extern const struct sl_setting sl_listen_tls_table[];

/* The rows of those settings, for the table of a struct that holds them as field. max_body is the
 * default of "max_body", written like a size. */
// clang-format off
// NOLINTBEGIN(bugprone-macro-parentheses): offsetof takes no parentheses
#define SL_LISTEN_ROWS(type, field, max_body)                                                      \
    {.name = "listen",                                                                             \
     .kind = SL_SET_TEXT,                                                                          \
     .offset = offsetof(type, field.address),                                                      \
     .required = true,                                                                             \
     .help = "host:port to listen at, such as 0.0.0.0:8443; sources may share one"},               \
    {.name = "tls",                                                                                \
     .kind = SL_SET_SECTION,                                                                       \
     .offset = offsetof(type, field.tls),                                                          \
     .section = sl_listen_tls_table,                                                               \
     .help = "files for HTTPS, read again when they change; without them plain HTTP, for a "       \
             "proxy"},                                                                             \
    {.name = "max_body",                                                                           \
     .kind = SL_SET_SIZE,                                                                          \
     .offset = offsetof(type, field.max_body_bytes),                                               \
     .fallback = max_body,                                                                         \
     .minimum = SL_KIB,                                                                            \
     .maximum = SL_GIB,                                                                            \
     .help = "a request with a larger body is refused (413)"},                                     \
    {.name = "max_connections",                                                                    \
     .kind = SL_SET_INT,                                                                           \
     .offset = offsetof(type, field.max_connections),                                              \
     .fallback = "256",                                                                            \
     .minimum = 1,                                                                                 \
     .maximum = 10000,                                                                             \
     .help = "connections open at once; more are not accepted"},                                   \
    {.name = "max_rate",                                                                           \
     .kind = SL_SET_INT,                                                                           \
     .offset = offsetof(type, field.max_rate),                                                     \
     .fallback = "1000",                                                                           \
     .minimum = 1,                                                                                 \
     .maximum = 1000000,                                                                           \
     .help = "requests a second; more are refused (429; where webhooks listen 503)"},              \
    {.name = "request_timeout",                                                                    \
     .kind = SL_SET_DURATION,                                                                      \
     .offset = offsetof(type, field.request_timeout_ms),                                           \
     .fallback = "30s",                                                                            \
     .minimum = SL_SECOND_MS,                                                                      \
     .maximum = SL_HOUR_MS,                                                                        \
     .help = "a request that has not come in whole after this long is cut off"}
// NOLINTEND(bugprone-macro-parentheses)
// clang-format on

/* The settings of a source that listens (a webhook or ingest source), or NULL. */
const struct sl_listen_settings *sl_listen_of(const struct sl_source_config *source);

/* What the listener at address has to be like so that it suits every source there: the greatest of
 * their limits, and the certificate of the one that has it. The texts are borrowed from config.
 * max_body_bytes is each source's own; the greatest is given. */
void sl_listen_share(const struct sl_config *config, const char *address,
                     struct sl_listen_settings *ret);

/* Notes what is wrong with the addresses and certificates of all sources that listen; called by the
 * check of each of their types. */
void sl_listen_check(const struct sl_config *config, struct sl_problems *problems);

/* Notes the sources that would listen where something else does: what ("ops.listen"), at address
 * (NULL: nowhere). */
void sl_listen_check_apart(const struct sl_config *config, const char *what, const char *address,
                           struct sl_problems *problems);

#endif
