#include "store/run_document.h"

#include <string.h>

#include "mongo/fields.h"

static void append_entity(bson_t *entities, uint32_t index, const struct sl_run_entity *entity)
{
    bson_t one;
    sl_array_begin_document(entities, index, &one);
    BSON_APPEND_UTF8(&one, "name", entity->name);
    BSON_APPEND_INT64(&one, "counter", entity->counter);
    BSON_APPEND_INT64(&one, "read", (int64_t)entity->read);
    BSON_APPEND_INT64(&one, "dead", (int64_t)entity->dead);
    BSON_APPEND_INT64(&one, "superseded", (int64_t)entity->superseded);
    BSON_APPEND_INT64(&one, "batches", entity->batches);
    BSON_APPEND_BOOL(&one, "finished", entity->finished);
    if (entity->changes_only)
        BSON_APPEND_BOOL(&one, "changes_only", true);
    bson_append_document_end(entities, &one);
}

void sl_run_to_document(const struct sl_run *run, int64_t epoch, bson_t *document)
{
    bson_t entities;
    BSON_APPEND_UTF8(document, "_id", run->id);
    BSON_APPEND_UTF8(document, "feed", run->feed);
    BSON_APPEND_INT64(document, "number", run->number);
    BSON_APPEND_UTF8(document, "state", sl_run_state_name(run->state));
    BSON_APPEND_BOOL(document, "full", run->full);
    if (run->live)
        BSON_APPEND_BOOL(document, "live", true);
    if (run->unsettled)
        BSON_APPEND_BOOL(document, "unsettled", true);
    BSON_APPEND_INT64(document, "attempt", run->attempt);
    BSON_APPEND_UTF8(document, "execution_id", run->execution_id);
    BSON_APPEND_UTF8(document, "returned_execution_id", run->returned_execution_id);
    BSON_APPEND_DATE_TIME(document, "created_at", run->created_ms);
    BSON_APPEND_DATE_TIME(document, "state_at", run->state_ms);
    if (run->expires_ms)
        BSON_APPEND_DATE_TIME(document, "expires_at", run->expires_ms);
    if (run->fresh_ms)
        BSON_APPEND_DATE_TIME(document, "fresh_at", run->fresh_ms);
    if (run->sweeps[0])
        BSON_APPEND_UTF8(document, "sweeps", run->sweeps);
    BSON_APPEND_UTF8(document, "error", run->error);
    BSON_APPEND_INT64(document, "epoch", epoch);
    SL_ARRAY_BEGIN(document, "entities", &entities);
    for (unsigned i = 0; i < run->entity_count; i++)
        append_entity(&entities, i, &run->entities[i]);
    bson_append_array_end(document, &entities);
}

static int read_state(const bson_t *document, struct sl_run *run, struct sl_err *err)
{
    char name[32];
    sl_field_text(document, "state", name, sizeof name);
    for (int state = SL_RUN_PLANNED; state <= SL_RUN_ABANDONED; state++)
        if (strcmp(name, sl_run_state_name((enum sl_run_state)state)) == 0) {
            run->state = (enum sl_run_state)state;
            return SL_OK;
        }
    return sl_err_set(err, SL_REJECTED,
                      "run '%s' is in the state '%s', which this sluice does not "
                      "know: was a newer one at work here?",
                      run->id, name);
}

static void read_entity(const bson_t *document, struct sl_run_entity *entity)
{
    sl_field_text(document, "name", entity->name, sizeof entity->name);
    entity->counter = sl_field_int64(document, "counter", 0);
    entity->read = (uint64_t)sl_field_int64(document, "read", 0);
    entity->dead = (uint64_t)sl_field_int64(document, "dead", 0);
    entity->superseded = (uint64_t)sl_field_int64(document, "superseded", 0);
    entity->batches = (uint32_t)sl_field_int64(document, "batches", 0);
    entity->finished = sl_field_bool(document, "finished");
    entity->changes_only = sl_field_bool(document, "changes_only");
}

static int read_entities(const bson_t *document, struct sl_run *run, struct sl_err *err)
{
    bson_iter_t at, one;
    if (!bson_iter_init_find(&at, document, "entities") || !BSON_ITER_HOLDS_ARRAY(&at) ||
        !bson_iter_recurse(&at, &one))
        return SL_OK;
    while (bson_iter_next(&one)) {
        const uint8_t *data;
        uint32_t length;
        bson_t entity;
        if (!BSON_ITER_HOLDS_DOCUMENT(&one))
            continue;
        if (run->entity_count == SL_RUN_ENTITIES_MAX)
            return sl_err_set(err, SL_REJECTED, "run '%s' has more than %d entities", run->id,
                              SL_RUN_ENTITIES_MAX);
        bson_iter_document(&one, &length, &data);
        if (bson_init_static(&entity, data, length))
            read_entity(&entity, &run->entities[run->entity_count++]);
    }
    return SL_OK;
}

int sl_run_from_document(const bson_t *document, struct sl_run *ret, struct sl_err *err)
{
    memset(ret, 0, sizeof *ret);
    sl_field_text(document, "_id", ret->id, sizeof ret->id);
    sl_field_text(document, "feed", ret->feed, sizeof ret->feed);
    ret->number = sl_field_int64(document, "number", 0);
    ret->full = sl_field_bool(document, "full");
    ret->live = sl_field_bool(document, "live");
    ret->unsettled = sl_field_bool(document, "unsettled");
    ret->attempt = (uint32_t)sl_field_int64(document, "attempt", 0);
    sl_field_text(document, "execution_id", ret->execution_id, sizeof ret->execution_id);
    sl_field_text(document, "returned_execution_id", ret->returned_execution_id,
                  sizeof ret->returned_execution_id);
    ret->created_ms = sl_field_date_ms(document, "created_at");
    ret->state_ms = sl_field_date_ms(document, "state_at");
    ret->expires_ms = sl_field_date_ms(document, "expires_at");
    ret->fresh_ms = sl_field_date_ms(document, "fresh_at");
    sl_field_text(document, "sweeps", ret->sweeps, sizeof ret->sweeps);
    sl_field_text(document, "error", ret->error, sizeof ret->error);
    int rc = read_state(document, ret, err);
    return rc == SL_OK ? read_entities(document, ret, err) : rc;
}
