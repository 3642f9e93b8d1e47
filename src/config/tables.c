/* The tables of the keys that config/ itself owns: the top level, a feed's schedule, an entity. */
#include "config/reader.h"

const char *const sl_role_names[] = {"all", "ingest", "apply", NULL};

static const char *const FORMS[] = {"auto", "json", "text", NULL};

static const struct sl_setting LOG_TABLE[] = {
    {.name = "level",
     .kind = SL_SET_CHOICE,
     .offset = offsetof(struct sl_config_log, level),
     .fallback = "info",
     .choices = sl_level_names,
     .help = "lines below this level are not written"},
    {.name = "form",
     .kind = SL_SET_CHOICE,
     .offset = offsetof(struct sl_config_log, form),
     .fallback = "auto",
     .choices = FORMS,
     .help = "json is one object a line; auto is text on a terminal and json elsewhere"},
    {0                     },
};

#define LIMIT(field) offsetof(struct sl_config_limits, field)

static const struct sl_setting LIMITS_TABLE[] = {
    {.name = "ingest_credit",
     .kind = SL_SET_SIZE,
     .offset = LIMIT(ingest_credit_bytes),
     .fallback = "4MiB",
     .minimum = SL_MIB,
     .maximum = 64 * SL_GIB,
     .help = "memory for rows on their way from the sources to the broker; reading waits above it"},
    {.name = "apply_credit",
     .kind = SL_SET_SIZE,
     .offset = LIMIT(apply_credit_bytes),
     .fallback = "8MiB",
     .minimum = SL_MIB,
     .maximum = 64 * SL_GIB,
     .help = "memory for rows on their way from the broker to the database"},
    {.name = "batch_rows",
     .kind = SL_SET_INT,
     .offset = LIMIT(batch_rows),
     .fallback = "5000",
     .minimum = 1,
     .maximum = 100000,
     .help = "a batch closes when it has this many rows"},
    {.name = "batch_bytes",
     .kind = SL_SET_SIZE,
     .offset = LIMIT(batch_bytes),
     .fallback = "1MiB",
     .minimum = SL_KIB,
     .maximum = 12 * SL_MIB,
     .help = "a batch closes when it has this many bytes"},
    {.name = "linger",
     .kind = SL_SET_DURATION,
     .offset = LIMIT(linger_ms),
     .fallback = "50ms",
     .minimum = 1,
     .maximum = SL_MINUTE_MS,
     .help = "a batch closes this long after its first row"},
    {.name = "max_row",
     .kind = SL_SET_SIZE,
     .offset = LIMIT(max_row_bytes),
     .fallback = "4MiB",
     .minimum = SL_KIB,
     .maximum = 12 * SL_MIB,
     .help = "a larger row becomes a dead letter"},
    {.name = "held_ids",
     .kind = SL_SET_SIZE,
     .offset = LIMIT(held_ids_bytes),
     .fallback = "64MiB",
     .minimum = 64 * SL_KIB,
     .maximum = 64 * SL_GIB,
     .help = "memory for ids of deleted rows, held while the answers of Dataverse are read; one "
             "that needs more by itself is given up, and its table read in full"},
    {0                       },
};

const struct sl_setting sl_config_top_table[] = {
    {.name = "role",
     .kind = SL_SET_CHOICE,
     .offset = offsetof(struct sl_config, role),
     .fallback = "all",
     .choices = sl_role_names,
     .help = "ingest reads sources into the broker, apply writes from there to the database, all "
             "does both"},
    {.name = "log",
     .kind = SL_SET_SECTION,
     .offset = offsetof(struct sl_config, log),
     .section = LOG_TABLE,
     .help = "the log, on standard error"},
    {.name = "limits",
     .kind = SL_SET_SECTION,
     .offset = offsetof(struct sl_config, limits),
     .section = LIMITS_TABLE,
     .help = "memory in flight, and when a batch is complete"},
    {0                },
};

const struct sl_setting sl_config_schedule_table[] = {
    {.name = "every",
     .kind = SL_SET_DURATION,
     .offset = offsetof(struct sl_feed_schedule, every_ms),
     .minimum = 100,
     .maximum = 366 * SL_DAY_MS,
     .help = "pause from the start of one run to the start of the next; or say cron"},
    {.name = "cron",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct sl_feed_schedule, cron),
     .help = "when to run, in UTC: minute, hour, day of month, month, day of week"},
    {0                            },
};

const struct sl_setting sl_config_collection_table[] = {
    {.name = "collection",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct sl_entity_config, collection),
     .required = true,
     .help = "the MongoDB collection that holds the documents; several feeds may share one"},
    {0},
};

const struct sl_setting sl_config_key_table[] = {
    {.name = "key",
     .kind = SL_SET_LIST,
     .offset = offsetof(struct sl_entity_config, key),
     .required = true,
     .help = "the columns that make a row unique; joined by | they are the document's _id"},
    {0},
};
