/* Would a collection's validator refuse tombstones, and deletions with them? */
#include <string.h>

#include "base/clock.h"
#include "cli/doctor.h"
#include "loop/fiber.h"
#include "mongo/client.h"
#include "mongo/fields.h"

/* The collection's options; SL_NOTFOUND when it is not made yet. The caller destroys *ret. */
static int get_options(struct sl_doctor *doctor, struct sl_mongo *mongo, const char *collection,
                       bson_t *ret, struct sl_err *err)
{
    bson_t *command = BCON_NEW("listCollections", BCON_INT32(1), "filter", "{", "name",
                               BCON_UTF8(collection), "}");
    int rc = sl_mongo_first(mongo, doctor->settings->mongo.database, command, ret,
                            sl_deadline_in(SL_DOCTOR_WAIT_MS), err);
    bson_destroy(command);
    return rc;
}

/* Asks the server itself: a document like a tombstone ($documents is known from 5.1 on), and
 * whether the validator matches it. */
static int ask(struct sl_mongo *mongo, const char *database, const bson_t *validator, bson_t *ret,
               struct sl_err *err)
{
    bson_t *command =
        BCON_NEW("aggregate", BCON_INT32(1), "pipeline", "[", "{", "$documents", "[", "{", "_id",
                 BCON_UTF8("sluice doctor"), "_sluice", "{", "v", BCON_INT64(1), "feed",
                 BCON_UTF8("doctor"), "deleted", BCON_BOOL(true), "at",
                 BCON_DATE_TIME(sl_wall_ms()), "expires_at", BCON_DATE_TIME(sl_wall_ms()), "}", "}",
                 "]", "}", "{", "$match", BCON_DOCUMENT(validator), "}", "]", "cursor", "{", "}");
    int rc = sl_mongo_first(mongo, database, command, ret, sl_deadline_in(SL_DOCTOR_WAIT_MS), err);
    bson_destroy(command);
    return rc;
}

void sl_doctor_validator(struct sl_doctor *doctor, struct sl_mongo *mongo, const char *what,
                         const char *collection)
{
    struct sl_err err = {0};
    bson_t options, found, validator;
    char action[16] = "";
    if (get_options(doctor, mongo, collection, &options, &err) != SL_OK)
        return;
    sl_field_text(&options, "options.validationAction", action, sizeof action);
    if (sl_field_document(&options, "options.validator", &validator) && strcmp(action, "warn")) {
        int rc = ask(mongo, doctor->settings->mongo.database, &validator, &found, &err);
        if (rc == SL_OK)
            bson_destroy(&found);
        if (rc == SL_NOTFOUND)
            sl_doctor_say(doctor, SL_DOCTOR_WARN, what,
                          "make it {\"$or\": [{\"_sluice.deleted\": true}, VALIDATOR]}",
                          "its validator refuses tombstones: a deletion would become a dead "
                          "letter, and the document stay");
    }
    bson_destroy(&options);
}
