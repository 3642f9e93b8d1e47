/* Can MongoDB be used: a replica set, new enough, that takes durable writes; and would an index of
 * a collection stand in the way of tombstones? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/doctor.h"
#include "loop/fiber.h"
#include "mongo/client.h"
#include "mongo/fields.h"
#include "source/feed_names.h"
#include "store/store.h"

#define WHAT "mongo"
#define OWN_COLLECTION "doctor"
#define OWN_ID "sluice"

enum {
    MAJOR_MIN = 5, /* the oldest that sluice is tested with */
    NAMESPACE_NOT_FOUND = 26,
    TEXT_BYTES = 128,
};

/* --- the server --- */

/* A replica set, or a mongos: to others the client writes nothing. */
static bool answers(struct sl_doctor *doctor, struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    int rc = sl_mongo_ping(mongo, sl_deadline_in(SL_DOCTOR_WAIT_MS), &err);
    return sl_doctor_works(doctor, rc, &err, WHAT,
                           "is its replica set running, and is mongo.url right?");
}

static void examine_version(struct sl_doctor *doctor, struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    char version[TEXT_BYTES] = "";
    bson_t command = BSON_INITIALIZER, reply;
    BSON_APPEND_INT32(&command, "buildInfo", 1);
    int rc =
        sl_mongo_command(mongo, "admin", &command, &reply, sl_deadline_in(SL_DOCTOR_WAIT_MS), &err);
    if (rc == SL_OK)
        sl_field_text(&reply, "version", version, sizeof version);
    bson_destroy(&reply);
    bson_destroy(&command);
    if (!sl_doctor_works(doctor, rc, &err, WHAT " version", NULL))
        return;
    bool old = strtol(version, NULL, 10) < MAJOR_MIN;
    sl_doctor_say(doctor, old ? SL_DOCTOR_WARN : SL_DOCTOR_OK, WHAT,
                  old ? "sluice is tested with 5.0 and later" : NULL, "MongoDB %s, replica set",
                  version);
}

/* --- writing --- */

/* Runs a command of the state's database that writes, durably. Takes command. */
static int write_state(struct sl_doctor *doctor, struct sl_mongo *mongo, bson_t *command,
                       struct sl_err *err)
{
    uint64_t deadline_ms = sl_deadline_in(SL_DOCTOR_WAIT_MS);
    bson_t reply;
    sl_mongo_append_durable(command, deadline_ms);
    int rc = sl_mongo_write(mongo, doctor->settings->mongo.state_database, command, &reply,
                            deadline_ms, err);
    bson_destroy(&reply);
    bson_destroy(command);
    return rc;
}

static int put_document(struct sl_doctor *doctor, struct sl_mongo *mongo, struct sl_err *err)
{
    return write_state(doctor, mongo,
                       BCON_NEW("update", BCON_UTF8(OWN_COLLECTION), "updates", "[", "{", "q", "{",
                                "_id", BCON_UTF8(OWN_ID), "}", "u", "{", "$set", "{", "at",
                                BCON_DATE_TIME(sl_wall_ms()), "}", "}", "upsert", BCON_BOOL(true),
                                "}", "]"),
                       err);
}

static int delete_document(struct sl_doctor *doctor, struct sl_mongo *mongo, struct sl_err *err)
{
    return write_state(doctor, mongo,
                       BCON_NEW("delete", BCON_UTF8(OWN_COLLECTION), "deletes", "[", "{", "q", "{",
                                "_id", BCON_UTF8(OWN_ID), "}", "limit", BCON_INT32(1), "}", "]"),
                       err);
}

static bool can_write(struct sl_doctor *doctor, struct sl_mongo *mongo)
{
    const char *database = doctor->settings->mongo.state_database;
    struct sl_err err = {0};
    uint64_t begin_ms = sl_now_ms();
    int rc = put_document(doctor, mongo, &err);
    uint64_t took_ms = sl_now_ms() - begin_ms;
    if (rc == SL_OK)
        rc = delete_document(doctor, mongo, &err);
    if (!sl_doctor_works(doctor, rc, &err, WHAT " writes", "are most of its members there?"))
        return false;
    sl_doctor_say(doctor, SL_DOCTOR_OK, WHAT " writes", NULL,
                  "majority and journal, in database '%s', within %llu ms", database,
                  (unsigned long long)took_ms);
    return true;
}

/* --- the collections of the feeds --- */

/* An update that matches nothing: may the user write there? */
static int try_update(struct sl_mongo *mongo, const char *database, const char *collection,
                      struct sl_err *err)
{
    uint64_t deadline_ms = sl_deadline_in(SL_DOCTOR_WAIT_MS);
    bson_t reply, *command = BCON_NEW("update", BCON_UTF8(collection), "updates", "[", "{", "q",
                                      "{", "_id", BCON_UTF8(""), "_sluice.v", BCON_INT32(-1), "}",
                                      "u", "{", "$set", "{", "_sluice.v", BCON_INT32(-1), "}", "}",
                                      "upsert", BCON_BOOL(false), "}", "]");
    int rc = sl_mongo_write(mongo, database, command, &reply, deadline_ms, err);
    bson_destroy(&reply);
    bson_destroy(command);
    return rc;
}

/* A tombstone has none of the document's fields: two of them are equal to a unique index, unless it
 * leaves out documents without its field. */
static void examine_index(struct sl_doctor *doctor, const char *what, const bson_t *index)
{
    char name[TEXT_BYTES], field[TEXT_BYTES] = "FIELD", advice[2 * TEXT_BYTES + 200];
    bson_t view;
    bson_iter_t iter;
    sl_field_text(index, "name", name, sizeof name);
    if (!sl_field_bool(index, "unique") || !strcmp(name, "_id_") ||
        sl_field_document(index, "partialFilterExpression", &view))
        return;
    if (sl_field_document(index, "key", &view) && bson_iter_init(&iter, &view) &&
        bson_iter_next(&iter))
        snprintf(field, sizeof field, "%s", bson_iter_key(&iter));
    snprintf(advice, sizeof advice,
             "make it again with partialFilterExpression {\"%s\": {\"$exists\": true}}", field);
    sl_doctor_say(doctor, SL_DOCTOR_WARN, what, advice,
                  "the unique index '%s' is not partial: tombstones of deleted documents would "
                  "collide in it, and rows become dead letters",
                  name);
}

static int examine_indexes(struct sl_doctor *doctor, struct sl_mongo *mongo, const char *what,
                           const char *collection, struct sl_err *err)
{
    bson_t reply, batch, *command = BCON_NEW("listIndexes", BCON_UTF8(collection));
    bson_iter_t iter;
    int rc = sl_mongo_command(mongo, doctor->settings->mongo.database, command, &reply,
                              sl_deadline_in(SL_DOCTOR_WAIT_MS), err);
    if (rc == SL_OK && sl_field_document(&reply, "cursor.firstBatch", &batch) &&
        bson_iter_init(&iter, &batch))
        while (bson_iter_next(&iter)) {
            const uint8_t *bytes;
            uint32_t length;
            bson_t index;
            if (!BSON_ITER_HOLDS_DOCUMENT(&iter))
                continue;
            bson_iter_document(&iter, &length, &bytes);
            if (bson_init_static(&index, bytes, length))
                examine_index(doctor, what, &index);
        }
    if (rc != SL_OK && err->cause == NAMESPACE_NOT_FOUND)
        rc = SL_OK; /* not made yet: the first write makes it */
    bson_destroy(&reply);
    bson_destroy(command);
    return rc;
}

/* Documents of a feed that is not in the configuration: of one that was renamed? What it took long
 * to find is not looked for. */
static void look_for_strangers(struct sl_doctor *doctor, struct sl_mongo *mongo, const char *what,
                               const char *collection)
{
    struct sl_err err = {0};
    char name[SL_NAME_MAX];
    struct sl_state *state = sl_store_new(mongo, &doctor->settings->mongo, &err);
    if (!state)
        return;
    const char **known = sl_feed_names_of(doctor->config, collection);
    if (state->type->stranger_find(state, collection, known, sl_deadline_in(SL_DOCTOR_WAIT_MS),
                                   name, &err) == SL_OK)
        sl_doctor_say(doctor, SL_DOCTOR_WARN, what,
                      "if a feed of tables or packages was called so, say so in its \"formerly\" "
                      "and refresh it; what posts or events brought may be good; delete them only "
                      "if no feed was called so",
                      "it holds documents of a feed '%s' that the configuration does not name: "
                      "nothing keeps them up to date",
                      name);
    free(known);
    state->type->close(state);
}

static void examine_collection(struct sl_doctor *doctor, struct sl_mongo *mongo,
                               const char *collection)
{
    const char *database = doctor->settings->mongo.database;
    char what[SL_DOCTOR_WHAT_BYTES];
    struct sl_err err = {0};
    unsigned warned = doctor->warned;
    snprintf(what, sizeof what, WHAT " collection '%s'", collection);
    int rc = try_update(mongo, database, collection, &err);
    if (rc == SL_OK)
        rc = examine_indexes(doctor, mongo, what, collection, &err);
    if (rc == SL_OK)
        sl_doctor_validator(doctor, mongo, what, collection);
    if (rc == SL_OK)
        look_for_strangers(doctor, mongo, what, collection);
    if (sl_doctor_works(doctor, rc, &err, what, NULL) && doctor->warned == warned)
        sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "can be written in database '%s'",
                      database);
}

/* Whether an entity before this one goes into the same collection. */
static bool seen_before(const struct sl_config *config, size_t feed, size_t entity)
{
    const char *wanted = config->feeds[feed].entities[entity].collection;
    for (size_t i = 0; i <= feed; i++)
        for (size_t j = 0; j < config->feeds[i].entity_count; j++) {
            if (i == feed && j == entity)
                return false;
            if (!strcmp(config->feeds[i].entities[j].collection, wanted))
                return true;
        }
    return false;
}

int sl_doctor_organisation(struct sl_doctor *doctor, const char *source,
                           char ret[SL_ORGANISATION_BYTES], struct sl_err *err)
{
    ret[0] = '\0';
    if (!doctor->mongo_answers)
        return SL_OK;
    struct sl_mongo *mongo = sl_mongo_new(&doctor->settings->mongo, err);
    struct sl_state *state = mongo ? sl_store_new(mongo, &doctor->settings->mongo, err) : NULL;
    struct sl_mark mark = {0};
    int rc = state ? state->type->mark_get(state, source, &mark, err) : (int)err->code;
    memcpy(ret, mark.organisation, sizeof mark.organisation);
    if (state)
        state->type->close(state);
    sl_mongo_free(mongo);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

void sl_doctor_mongo(struct sl_doctor *doctor)
{
    const struct sl_config *config = doctor->config;
    struct sl_err err = {0};
    struct sl_mongo *mongo = sl_mongo_new(&doctor->settings->mongo, &err);
    if (!mongo) {
        sl_doctor_works(doctor, SL_CONFIG, &err, WHAT, NULL);
        return;
    }
    doctor->mongo_answers = answers(doctor, mongo);
    if (doctor->mongo_answers) {
        examine_version(doctor, mongo);
        if (can_write(doctor, mongo))
            for (size_t i = 0; i < config->feed_count; i++)
                for (size_t j = 0; j < config->feeds[i].entity_count; j++)
                    if (!seen_before(config, i, j))
                        examine_collection(doctor, mongo, config->feeds[i].entities[j].collection);
    }
    sl_mongo_free(mongo);
}
