/* A command that reads the configuration and speaks to MongoDB or RabbitMQ once, then ends. */
#ifndef SL_CLI_SESSION_H
#define SL_CLI_SESSION_H

#include "cli/options.h"
#include "cli/registry.h"
#include "config/config.h"
#include "flow/state.h"

struct sl_session {
    const struct sl_options *options;
    struct sl_config *config;
    const struct sl_settings *settings;
    struct sl_mongo *mongo;   /* NULL until sl_session_state */
    struct sl_state *state;   /* likewise */
    struct sl_broker *broker; /* NULL until sl_session_broker */
};

/* Reads the configuration and runs work in a fiber; gives its exit status. What is wrong with the
 * configuration is printed. What work opened is closed behind it. */
int sl_session_run(const struct sl_options *options, int (*work)(struct sl_session *session));

/* The state; says on stderr what is wrong, and gives NULL, when MongoDB does not answer within
 * seconds. Suspends. */
struct sl_state *sl_session_state(struct sl_session *session);

/* The broker's address, not connected yet; NULL: said on stderr. */
struct sl_broker *sl_session_broker(struct sl_session *session);

/* Prints "sluice: …" on stderr and gives SL_EXIT_FAILED. */
int sl_session_fail(const struct sl_err *err);

#endif
