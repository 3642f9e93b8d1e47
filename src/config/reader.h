/* The steps of reading a file, one after the other, into one struct sl_config. Each notes what is
 * wrong and goes on. Private to config/. */
#ifndef SL_CONFIG_READER_H
#define SL_CONFIG_READER_H

#include "config/config.h"
#include "config/fill.h"

/* "sources" and "feeds", with their entities; feeds need the sources. */
void sl_config_read_sources(struct sl_config *config, const struct sl_json *map,
                            struct sl_problems *problems);
void sl_config_read_feeds(struct sl_config *config, const struct sl_json *map,
                          struct sl_problems *problems);
void sl_config_read_entities(struct sl_feed_config *feed, const struct sl_json *map,
                             const struct sl_path *where, struct sl_problems *problems);

/* The one entity of a feed whose object says it, in two steps: make puts it into the feed, so that
 * the tables below can fill it; check judges it when it is filled and the feed's settings are. */
struct sl_entity_config *sl_config_make_entity(struct sl_feed_config *feed);
void sl_config_check_entity(struct sl_feed_config *feed, const struct sl_json *object,
                            const struct sl_path *where, struct sl_problems *problems);

/* What no single object can tell: who shares a collection, a source, a project. */
void sl_config_check(const struct sl_config *config, struct sl_problems *problems);

/* Free what those made. */
void sl_config_free_source(struct sl_source_config *source);
void sl_config_free_feed(struct sl_feed_config *feed);
void sl_config_free_entity(struct sl_entity_config *entity);

/* The rows of a feed's schedule, of an entity, and of the file's own top level: shared with help
 * and schema. Ended by a NULL name. */
struct sl_feed_schedule {
    uint64_t every_ms; /* 0: not said */
    char *cron;        /* NULL: not said */
};
extern const struct sl_setting sl_config_schedule_table[];
extern const struct sl_setting sl_config_collection_table[]; /* of an entity: "collection" … */
extern const struct sl_setting sl_config_key_table[];        /* … and "key" */
extern const struct sl_setting sl_config_top_table[];

#endif
