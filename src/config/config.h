/* The configuration, read and checked: what `sluice.jsonc` says, as structs. */
#ifndef SL_CONFIG_CONFIG_H
#define SL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "config/problems.h"
#include "config/schedule.h"
#include "config/shape.h"
#include "format/json.h"
#include "format/typed.h"

enum sl_role { SL_ROLE_ALL, SL_ROLE_INGEST, SL_ROLE_APPLY };
extern const char *const sl_role_names[]; /* "all" …, ended by NULL */

struct sl_config_log {
    int level; /* enum sl_level */
    int form;  /* enum sl_log_form */
};

struct sl_config_limits {
    uint64_t ingest_credit_bytes; /* in flight from the sources to the broker */
    uint64_t apply_credit_bytes;  /* in flight from the broker to the database */
    int64_t batch_rows;           /* a batch closes at this many rows, … */
    uint64_t batch_bytes;         /* … at this many bytes, … */
    uint64_t linger_ms;           /* … or this long after its first row */
    uint64_t max_row_bytes;       /* a larger row is a dead letter */
    uint64_t held_ids_bytes;      /* ids held by all polls of Dataverse together */
};

enum {
    SL_CONFIG_ENTITIES_MAX = 64, /* in one feed */
    SL_CONFIG_KEY_COLUMNS_MAX = 16,
};

struct sl_column_config {
    char *name;
    enum sl_type type;
};

struct sl_entity_config {
    char *name;       /* "Vendors V3", as the source calls it */
    char *route;      /* "VendorsV3": blanks removed; in messages, routing keys and metrics */
    char *collection; /* "vendors" */
    char **key;       /* key columns in order, ended by NULL; NULL: the source knows the key */
    size_t key_count;
    struct sl_column_config *columns; /* those with a type; all others are strings */
    size_t column_count;
    unsigned line,
        column; /* where it stands in the file; a feed's one entity: where the feed does */
};

struct sl_source_config {
    char *name;
    const struct sl_config_type *type;
    void *settings;             /* the struct of type->source_table */
    unsigned line, column;      /* where it stands in the file */
    const struct sl_json *json; /* its object there; NULL when the reading is over */
};

struct sl_feed_config {
    char *name;
    const struct sl_source_config *source;
    struct sl_schedule schedule; /* all 0 when the type needs none */
    struct sl_entity_config *entities;
    size_t entity_count;
    void *settings;             /* the struct of source->type->feed_table */
    unsigned line, column;      /* where it stands in the file */
    const struct sl_json *json; /* its object there; NULL when the reading is over */
};

struct sl_config {
    int role; /* enum sl_role */
    struct sl_config_log log;
    struct sl_config_limits limits;
    struct sl_source_config *sources;
    size_t source_count;
    struct sl_feed_config *feeds;
    size_t feed_count;
    void *settings;                      /* the struct whose members the shape's sections fill */
    const struct sl_json *json;          /* the file's top level; NULL when the reading is over */
    const struct sl_config_shape *shape; /* private: how to free it */
};

/* Whether this process asks the sources and listens for them, and whether it writes to MongoDB. */
static inline bool sl_config_ingests(const struct sl_config *config)
{
    return config->role != SL_ROLE_APPLY;
}

static inline bool sl_config_applies(const struct sl_config *config)
{
    return config->role != SL_ROLE_INGEST;
}

/* Reads and checks the file at path. On SL_OK gives the configuration (sl_config_free); problems
 * may hold warnings then. On SL_CONFIG problems (initialised by the caller) says what is wrong and
 * where, all of it as far as it can be told at once. Blocks on the file: for the start of the
 * program. shape must outlive the configuration. */
int sl_config_load(const char *path, const struct sl_config_shape *shape, struct sl_config **ret,
                   struct sl_problems *problems);

/* How messages name that file: without "./". A part of path. */
const char *sl_config_shown_path(const char *path);

/* Like sl_config_load, of a text that somebody read already; file names it in problems. */
int sl_config_parse(const char *file, const char *text, size_t length,
                    const struct sl_config_shape *shape, struct sl_config **ret,
                    struct sl_problems *problems);

/* Fills ret, the zeroed struct of one section, from the file at path and looks at nothing else
 * there: for a command that needs no more, and must not ask for the secrets of all the rest. The
 * caller owes sl_settings_done(section->table, ret), also on failure. Fails like sl_config_load. */
int sl_config_load_section(const char *path, const struct sl_config_section *section, void *ret,
                           struct sl_problems *problems);

/* Wipes the secrets and frees everything, the section's structs included. NULL is fine. */
void sl_config_free(struct sl_config *config);

/* The entity of feed whose route is given, for whoever receives a message; NULL: not configured. */
const struct sl_entity_config *sl_config_route(const struct sl_config *config, const char *feed,
                                               const char *route);

/* Its collection, or NULL. config is a struct sl_config: this is what sinks ask (flow/sink.h). */
const char *sl_config_collection(const void *config, const char *feed, const char *route);

/* Entities of all feeds together. */
size_t sl_config_entity_count(const struct sl_config *config);

#endif
