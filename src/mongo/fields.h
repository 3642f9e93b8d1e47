/* Short ways to read a BSON document that was written by sluice or answered by the server. A
 * missing field, or one of another type, reads as the fallback. Paths may be dotted: "value.epoch".
 */
#ifndef SL_MONGO_FIELDS_H
#define SL_MONGO_FIELDS_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t sl_field_int64(const bson_t *document, const char *path, int64_t fallback);
bool sl_field_bool(const bson_t *document, const char *path);
int64_t sl_field_date_ms(const bson_t *document, const char *path);

/* Copies a text into out, cut to fit; empty when it is missing. */
void sl_field_text(const bson_t *document, const char *path, char *out, size_t size);

/* A view of an embedded document or array, as bson_init_static gives it; valid as long as document.
 */
bool sl_field_document(const bson_t *document, const char *path, bson_t *ret_view);

/* Begins an array in which the caller numbers the elements; bson_append_array_end ends it. libbson
 * 2 calls that unsafe, and its old name deprecated. */
#ifdef BSON_APPEND_ARRAY_UNSAFE_BEGIN
#define SL_ARRAY_BEGIN BSON_APPEND_ARRAY_UNSAFE_BEGIN
#else
#define SL_ARRAY_BEGIN BSON_APPEND_ARRAY_BEGIN
#endif

/* Elements of such an array; index is their number, from 0. bson_append_document_end ends a
 * document that was begun. */
void sl_array_append_text(bson_t *array, size_t index, const char *text);
void sl_array_begin_document(bson_t *array, size_t index, bson_t *ret);

/* The command's name, its first field; "" when it has none. Lives as long as command. */
const char *sl_command_name(const bson_t *command);

#endif
