#include "upsert.h"

#include <inttypes.h>
#include <stdio.h>

static int64_t failed(const char *what, const char *message)
{
    fprintf(stderr, "bench-limit: %s: %s\n", what, message);
    return -1;
}

/* Appends [{$replaceWith: {$cond: [{$gt: [v, {$floor: "$_sluice.v"}]}, {$literal: document},
 * "$$ROOT"]}}] to pipeline, which is the array itself. */
static void append_pipeline(bson_t *pipeline, const struct document *document)
{
    bson_t literal, stage, replace, cond, branch;
    bson_init_static(&literal, document->data, document->length);
    BSON_APPEND_DOCUMENT_BEGIN(pipeline, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$replaceWith", &replace);
    BSON_APPEND_ARRAY_BEGIN(&replace, "$cond", &cond);
    BCON_APPEND(&cond, "0", "{", "$gt", "[", BCON_INT64(document->version), "{", "$floor",
                "$_sluice.v", "}", "]", "}");
    BSON_APPEND_DOCUMENT_BEGIN(&cond, "1", &branch);
    BSON_APPEND_DOCUMENT(&branch, "$literal", &literal);
    bson_append_document_end(&cond, &branch);
    BSON_APPEND_UTF8(&cond, "2", "$$ROOT");
    bson_append_array_end(&replace, &cond);
    bson_append_document_end(&stage, &replace);
    bson_append_document_end(pipeline, &stage);
}

/* --- the bulk API --- */

/* pipeline is space for the guard. */
static bool add_to_bulk(mongoc_bulk_operation_t *bulk, const struct document *document,
                        enum form form, const bson_t *opts, bson_t *selector, bson_t *pipeline)
{
    bson_t whole;
    bson_error_t error;
    bool added;
    bson_reinit(selector);
    BSON_APPEND_UTF8(selector, "_id", document->id);
    bson_init_static(&whole, document->data, document->length);
    if (form == GUARDED) {
        bson_reinit(pipeline);
        append_pipeline(pipeline, document);
        added = mongoc_bulk_operation_update_one_with_opts(bulk, selector, pipeline, opts, &error);
    } else if (form == PLAIN) {
        added = mongoc_bulk_operation_replace_one_with_opts(bulk, selector, &whole, opts, &error);
    } else {
        added = mongoc_bulk_operation_insert_with_opts(bulk, &whole, opts, &error);
    }
    return added || failed("bulk write", error.message) >= 0;
}

static int64_t number(const bson_t *reply, const char *name)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, reply, name) ? bson_iter_as_int64(&iter) : 0;
}

int64_t write_by_bulk(mongoc_collection_t *collection, const struct documents *documents,
                      const struct batch *batch, enum form form)
{
    bson_t unordered = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bson_t selector = BSON_INITIALIZER, pipeline = BSON_INITIALIZER, reply = BSON_INITIALIZER;
    bson_error_t error;
    int64_t written = 0;

    BSON_APPEND_BOOL(&unordered, "ordered", false);
    if (form != INSERT)
        BSON_APPEND_BOOL(&opts, "upsert", true);
    BSON_APPEND_BOOL(&opts, "validate", false);
    mongoc_bulk_operation_t *bulk =
        mongoc_collection_create_bulk_operation_with_opts(collection, &unordered);
    for (size_t i = 0; i < batch->count && written == 0; i++)
        if (!add_to_bulk(bulk, &documents->all[batch->first + i], form, &opts, &selector,
                         &pipeline))
            written = -1;
    if (written == 0) {
        bson_destroy(&reply);
        if (mongoc_bulk_operation_execute(bulk, &reply, &error))
            written = number(&reply, "nInserted") + number(&reply, "nUpserted") +
                      number(&reply, "nModified");
        else
            written = failed("bulk", error.message);
    }
    mongoc_bulk_operation_destroy(bulk);
    bson_destroy(&unordered);
    bson_destroy(&opts);
    bson_destroy(&selector);
    bson_destroy(&pipeline);
    bson_destroy(&reply);
    return written;
}

/* --- whole commands --- */

static void append_update(bson_t *updates, uint32_t index, const struct document *document)
{
    bson_t update, query, pipeline;
    const char *key;
    char space[16];
    bson_uint32_to_string(index, &key, space, sizeof space);
    BSON_APPEND_DOCUMENT_BEGIN(updates, key, &update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "q", &query);
    BSON_APPEND_UTF8(&query, "_id", document->id);
    bson_append_document_end(&update, &query);
    BSON_APPEND_ARRAY_BEGIN(&update, "u", &pipeline);
    append_pipeline(&pipeline, document);
    bson_append_array_end(&update, &pipeline);
    BSON_APPEND_BOOL(&update, "upsert", true);
    bson_append_document_end(updates, &update);
}

bson_t *upsert_command_new(const char *collection, const struct documents *documents,
                           const struct batch *batch)
{
    bson_t updates;
    bson_t *command = BCON_NEW("update", BCON_UTF8(collection), "ordered", BCON_BOOL(false),
                               "writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "}");
    BSON_APPEND_ARRAY_BEGIN(command, "updates", &updates);
    for (size_t i = 0; i < batch->count; i++)
        append_update(&updates, (uint32_t)i, &documents->all[batch->first + i]);
    bson_append_array_end(command, &updates);
    return command;
}

static int64_t array_length(const bson_t *reply, const char *name)
{
    bson_iter_t iter, element;
    int64_t length = 0;
    if (bson_iter_init_find(&iter, reply, name) && bson_iter_recurse(&iter, &element))
        while (bson_iter_next(&element))
            length++;
    return length;
}

int64_t upsert_by_command(mongoc_client_t *client, const char *database, const bson_t *command)
{
    bson_t reply;
    bson_error_t error;
    int64_t written;
    if (!mongoc_client_command_simple(client, database, command, NULL, &reply, &error))
        written = failed("update command", error.message);
    else if (bson_has_field(&reply, "writeErrors") || bson_has_field(&reply, "writeConcernError"))
        written = failed("update command", "the server refused rows, or could not make them safe");
    else
        written = number(&reply, "nModified") + array_length(&reply, "upserted");
    bson_destroy(&reply);
    return written;
}
