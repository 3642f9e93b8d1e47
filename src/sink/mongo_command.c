#include "sink/mongo_command.h"

#include <stdio.h>
#include <string.h>

#include "format/number.h"
#include "format/own_name.h"

/* BSON by hand: every length is known before the bytes are written, so each update is a run of
 * copies. A piece is an element's type byte, its name and NUL. Source: bsonspec.org, version 1.1.
 */
#define PIECE(type, name) type name "\0"
#define PIECE_BYTES(piece) ((uint32_t)(sizeof(piece) - 1))

#define T_TEXT "\x02"
#define T_DOCUMENT "\x03"
#define T_ARRAY "\x04"
#define T_BOOL "\x08"
#define T_INT64 "\x12"

enum { DOCUMENT_BYTES_MAX = 16 * 1024 * 1024 };
enum { LENGTH = 4, END = 1 }; /* a document is its length, its elements and a NUL */

static const char ID[] = PIECE(T_TEXT, "_id");
static const char META[] = PIECE(T_DOCUMENT, "_sluice");
static const char QUERY[] = PIECE(T_DOCUMENT, "q");
static const char UPDATE[] = PIECE(T_ARRAY, "u");
static const char FIRST[] = PIECE(T_DOCUMENT, "0");
static const char REPLACE[] = PIECE(T_DOCUMENT, "$replaceWith");
static const char COND[] = PIECE(T_ARRAY, "$cond");
static const char SECOND[] = PIECE(T_DOCUMENT, "1");
static const char LITERAL[] = PIECE(T_DOCUMENT, "$literal");
static const char GT[] = PIECE(T_ARRAY, "$gt");
static const char VERSION[] = PIECE(T_INT64, "0");
static const char UPSERT[] = PIECE(T_BOOL, "upsert") "\1";
static const char UPDATE_ONLY[] = PIECE(T_BOOL, "upsert") "\0";
/* {"_sluice.deleted": {$exists: false}}: a tombstone is no document that may be changed. */
static const char ALIVE[] =
    PIECE(T_DOCUMENT, "_sluice.deleted") "\x0f\0\0\0" PIECE(T_BOOL, "$exists") "\0";

static const char UPDATES[] = PIECE(T_ARRAY, "updates");
static const char DOCUMENTS[] = PIECE(T_ARRAY, "documents");

enum { META_VERSION_AT = 4 + 1 + 2 }; /* in a stamp: after the length, the type and "v" */

/* --- writing --- */

static char *put(char *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static char *put_length(char *to, size_t length)
{
    uint32_t little = BSON_UINT32_TO_LE((uint32_t)length);
    return put(to, &little, sizeof little);
}

static char *put_int64(char *to, int64_t value)
{
    uint64_t little = BSON_UINT64_TO_LE((uint64_t)value);
    return put(to, &little, sizeof little);
}

#define PUT(to, piece) put(to, piece, sizeof(piece) - 1)

static char *put_end(char *to, size_t count)
{
    memset(to, 0, count);
    return to + count;
}

/* --- the stamp --- */

static void keep_bytes(const bson_t *from, struct sl_buf *to)
{
    sl_buf_init(to);
    sl_buf_add(to, bson_get_data(from), from->len);
}

static void stamp_document(struct sl_buf *out, const struct sl_origin *origin, int64_t at_ms)
{
    bson_t meta = BSON_INITIALIZER;
    BSON_APPEND_INT64(&meta, "v", 0);
    BSON_APPEND_UTF8(&meta, "feed", origin->feed);
    BSON_APPEND_UTF8(&meta, "run", origin->run);
    if (origin->seen)
        BSON_APPEND_UTF8(&meta, "seen", origin->seen);
    BSON_APPEND_DATE_TIME(&meta, "at", at_ms);
    keep_bytes(&meta, out);
    bson_destroy(&meta);
}

static void stamp_tombstone(struct sl_buf *out, const struct sl_origin *origin, int64_t at_ms,
                            uint64_t ttl_ms)
{
    bson_t meta = BSON_INITIALIZER;
    BSON_APPEND_INT64(&meta, "v", 0);
    BSON_APPEND_UTF8(&meta, "feed", origin->feed);
    BSON_APPEND_BOOL(&meta, "deleted", true);
    BSON_APPEND_DATE_TIME(&meta, "at", at_ms);
    BSON_APPEND_DATE_TIME(&meta, "expires_at", at_ms + (int64_t)ttl_ms);
    keep_bytes(&meta, out);
    bson_destroy(&meta);
}

static void keep_element(const bson_t *from, struct sl_buf *to)
{
    sl_buf_init(to);
    sl_buf_add(to, bson_get_data(from) + LENGTH, from->len - LENGTH - END);
}

/* What is above seen, and above all later reads of the same feed: their names differ in the number
 * at the end alone, and a colon follows the digits. */
static void name_end(const char *seen, char *out, size_t size)
{
    const char *dash = strrchr(seen, '-');
    int length = dash ? (int)(dash + 1 - seen) : 0;
    snprintf(out, size, "%.*s:", length, seen);
}

/* Whether this full read, or a later one of the feed, saw the document already. */
static bson_t *seen_already(const char *seen)
{
    char end[256];
    name_end(seen, end, sizeof end);
    // clang-format off
    return BCON_NEW(
        "$and", "[",
            "{", "$gte", "[", "$_sluice.seen", "{", "$literal", BCON_UTF8(seen), "}", "]", "}",
            "{", "$lt", "[", "$_sluice.seen", "{", "$literal", BCON_UTF8(end), "}", "]", "}",
        "]");
    // clang-format on
}

/* {$floor: "$_sluice.v"}; in a full read one less, until it saw the document. */
static void stamp_stored(struct sl_buf *out, const bson_t *already)
{
    bson_t *stored;
    // clang-format off
    if (already)
        stored = BCON_NEW(
            "1", "{", "$subtract", "[",
                "{", "$floor", BCON_UTF8("$_sluice.v"), "}",
                "{", "$cond", "[", BCON_DOCUMENT(already), BCON_INT64(0), BCON_INT64(1), "]", "}",
            "]", "}");
    else
        stored = BCON_NEW("1", "{", "$floor", BCON_UTF8("$_sluice.v"), "}");
    // clang-format on
    keep_element(stored, out);
    bson_destroy(stored);
}

/* "$$ROOT", or in a full read the same document with _sluice.seen set, unless a later one saw it
 * already: a message that comes late must not make it look unseen. */
static void stamp_keep(struct sl_buf *out, const char *seen, const bson_t *already)
{
    bson_t *keep;
    // clang-format off
    if (already)
        keep = BCON_NEW(
            "2", "{", "$mergeObjects", "[", "$$ROOT", "{",
                "_sluice", "{", "$mergeObjects", "[", "$_sluice", "{",
                    "seen", "{", "$cond", "[",
                        BCON_DOCUMENT(already),
                        "$_sluice.seen",
                        "{", "$literal", BCON_UTF8(seen), "}",
                    "]", "}",
                "}", "]", "}",
            "}", "]", "}");
    else
        keep = BCON_NEW("2", BCON_UTF8("$$ROOT"));
    // clang-format on
    keep_element(keep, out);
    bson_destroy(keep);
}

void sl_mongo_stamp_init(struct sl_mongo_stamp *stamp, const struct sl_origin *origin,
                         int64_t at_ms, uint64_t tombstone_ttl_ms)
{
    bson_t *already = origin->seen ? seen_already(origin->seen) : NULL;
    stamp_document(&stamp->document, origin, at_ms);
    stamp_tombstone(&stamp->tombstone, origin, at_ms, tombstone_ttl_ms);
    stamp_stored(&stamp->stored, already);
    stamp_keep(&stamp->keep, origin->seen, already);
    bson_destroy(already);
}

void sl_mongo_stamp_done(struct sl_mongo_stamp *stamp)
{
    sl_buf_done(&stamp->document);
    sl_buf_done(&stamp->tombstone);
    sl_buf_done(&stamp->stored);
    sl_buf_done(&stamp->keep);
}

/* --- records --- */

const char *sl_mongo_record_fault(const struct sl_record *record, int64_t read_at_ms,
                                  int64_t read_since_ms, const char **ret_reason)
{
    bson_iter_t at;
    bool old = record->letter
                   ? record->letter->read_at_ms <= read_since_ms
                   : record->op == SL_UPSERT && read_at_ms && read_at_ms <= read_since_ms;
    if (old) {
        *ret_reason = "the row was read longer than mongo.tombstone_ttl ago";
        return "too_old";
    }
    if (record->id.length + record->doc.length > DOCUMENT_BYTES_MAX) {
        *ret_reason = "the row is larger than a document of MongoDB's can be, 16 MiB";
        return "too_large"; /* of three times that the server says nothing, and hangs up */
    }
    if (record->op == SL_DELETE || record->sound)
        return NULL;
    *ret_reason = "the row's document is not valid BSON";
    if (!bson_iter_init_from_data(&at, (const uint8_t *)record->doc.at, record->doc.length))
        return "malformed";
    while (bson_iter_next(&at)) {
        if (!sl_name_is_own(sl_str_of(bson_iter_key_unsafe(&at))))
            continue;
        *ret_reason = "the source has a column named _id or _sluice, which are sluice's own";
        return "reserved_column";
    }
    return at.err_off ? "malformed" : NULL;
}

/* The columns' bytes, without length and NUL of the document around them. */
static struct sl_str columns(const struct sl_record *record)
{
    if (record->op == SL_DELETE)
        return (struct sl_str){NULL, 0};
    return (struct sl_str){record->doc.at + LENGTH, record->doc.length - LENGTH - END};
}

/* Sizes of the nested parts of one update, from the inside out. */
struct sizes {
    size_t id;       /* the element _id */
    size_t document; /* what is stored */
    size_t literal;  /* {$literal: document} */
    size_t versions; /* the array of $gt */
    size_t guard;    /* {$gt: …} */
    size_t cond;     /* the array of $cond */
    size_t replace;  /* {$cond: …} */
    size_t stage;    /* {$replaceWith: …} */
    size_t pipeline;
    size_t query;
    size_t update; /* the whole update */
};

static size_t document_bytes(const struct sl_record *record, const struct sl_buf *meta)
{
    size_t id = PIECE_BYTES(ID) + LENGTH + record->id.length + END;
    return LENGTH + id + columns(record).length + PIECE_BYTES(META) + meta->length + END;
}

static struct sizes measure(const struct sl_mongo_stamp *stamp, const struct sl_buf *meta,
                            const struct sl_record *record, bool insert)
{
    struct sizes size;
    size.id = PIECE_BYTES(ID) + LENGTH + record->id.length + END;
    size.document = document_bytes(record, meta);
    size.literal = LENGTH + PIECE_BYTES(LITERAL) + size.document + END;
    size.versions = LENGTH + PIECE_BYTES(VERSION) + 8 + stamp->stored.length + END;
    size.guard = LENGTH + PIECE_BYTES(GT) + size.versions + END;
    size.cond = LENGTH + PIECE_BYTES(FIRST) + size.guard + PIECE_BYTES(SECOND) + size.literal +
                stamp->keep.length + END;
    size.replace = LENGTH + PIECE_BYTES(COND) + size.cond + END;
    size.stage = LENGTH + PIECE_BYTES(REPLACE) + size.replace + END;
    size.pipeline = LENGTH + PIECE_BYTES(FIRST) + size.stage + END;
    size.query = LENGTH + size.id + (insert ? 0 : sizeof ALIVE) + END; /* its NUL ends $exists */
    size.update = LENGTH + PIECE_BYTES(QUERY) + size.query + PIECE_BYTES(UPDATE) + size.pipeline +
                  PIECE_BYTES(UPSERT) + END;
    return size;
}

static char *put_id(char *to, struct sl_str id)
{
    to = PUT(to, ID);
    to = put_length(to, id.length + END);
    to = put(to, id.at, id.length);
    return put_end(to, END);
}

static char *put_guard(char *to, const struct sizes *size, const struct sl_buf *stored,
                       int64_t version)
{
    to = PUT(to, FIRST);
    to = put_length(to, size->guard);
    to = PUT(to, GT);
    to = put_length(to, size->versions);
    to = PUT(to, VERSION);
    to = put_int64(to, version);
    to = put(to, stored->data, stored->length);
    return put_end(to, 2); /* the array, $gt */
}

static char *put_document(char *to, size_t size, const struct sl_buf *meta,
                          const struct sl_record *record)
{
    struct sl_str row = columns(record);
    to = put_length(to, size);
    to = put_id(to, record->id);
    if (row.length)
        to = put(to, row.at, row.length);
    to = PUT(to, META);
    put(to, meta->data, meta->length);
    put_int64(to + META_VERSION_AT, record->version);
    return put_end(to + meta->length, END);
}

/* "3", the name of a row in its array, with the element's type before it. */
static size_t write_name(uint32_t index, char ret[1 + SL_NUMBER_BYTES])
{
    ret[0] = T_DOCUMENT[0];
    return 1 + sl_int64_format(index, ret + 1) + 1; /* type, digits, NUL */
}

void sl_mongo_command_add_document(struct sl_buf *out, const struct sl_mongo_stamp *stamp,
                                   const struct sl_record *record, uint32_t index)
{
    char name[1 + SL_NUMBER_BYTES];
    size_t name_bytes = write_name(index, name), size = document_bytes(record, &stamp->document);
    char *start = sl_buf_reserve(out, name_bytes + size);
    char *to = put(start, name, name_bytes);
    to = put_document(to, size, &stamp->document, record);
    sl_buf_commit(out, (size_t)(to - start));
}

void sl_mongo_command_add(struct sl_buf *out, const struct sl_mongo_stamp *stamp,
                          const struct sl_record *record, bool insert, uint32_t index)
{
    const struct sl_buf *meta = record->op == SL_DELETE ? &stamp->tombstone : &stamp->document;
    struct sizes size = measure(stamp, meta, record, insert);
    char name[1 + SL_NUMBER_BYTES];
    size_t name_bytes = write_name(index, name);

    char *start = sl_buf_reserve(out, name_bytes + size.update);
    char *to = put(start, name, name_bytes);
    to = put_length(to, size.update);
    to = PUT(to, QUERY);
    to = put_length(to, size.query);
    to = put_id(to, record->id);
    if (!insert)
        to = put(to, ALIVE, sizeof ALIVE);
    to = put_end(to, END);
    to = PUT(to, UPDATE);
    to = put_length(to, size.pipeline);
    to = PUT(to, FIRST);
    to = put_length(to, size.stage);
    to = PUT(to, REPLACE);
    to = put_length(to, size.replace);
    to = PUT(to, COND);
    to = put_length(to, size.cond);
    to = put_guard(to, &size, &stamp->stored, record->version);
    to = PUT(to, SECOND);
    to = put_length(to, size.literal);
    to = PUT(to, LITERAL);
    to = put_document(to, size.document, meta, record);
    to = put_end(to, END); /* {$literal: …} */
    to = put(to, stamp->keep.data, stamp->keep.length);
    to = put_end(to, 4); /* the array, {$cond}, {$replaceWith}, the pipeline */
    to = insert ? PUT(to, UPSERT) : PUT(to, UPDATE_ONLY);
    to = put_end(to, END);
    sl_buf_commit(out, (size_t)(to - start));
}

/* --- the command --- */

void sl_mongo_command_begin(struct sl_buf *out, const bson_t *head, bool inserts)
{
    sl_buf_clear(out);
    sl_buf_add(out, bson_get_data(head), head->len - END);
    if (inserts)
        sl_buf_add(out, DOCUMENTS, sizeof DOCUMENTS - 1);
    else
        sl_buf_add(out, UPDATES, sizeof UPDATES - 1);
    sl_buf_add(out, "\0\0\0\0", LENGTH);
}

void sl_mongo_command_reserve(struct sl_buf *out, const struct sl_mongo_stamp *stamp, size_t bytes,
                              uint32_t count)
{
    enum { HEAD_BYTES = 1024, UPDATE_BYTES = 256 }; /* an update's own, its second id included */
    size_t row = UPDATE_BYTES + stamp->document.length + stamp->stored.length + stamp->keep.length;
    size_t wanted = HEAD_BYTES + bytes + count * row;
    sl_buf_reserve(out, wanted < SL_MONGO_COMMAND_BYTES ? wanted : SL_MONGO_COMMAND_BYTES);
}

void sl_mongo_command_end(struct sl_buf *out)
{
    /* Until now the first length is still the head's own: it tells where the array begins. */
    uint32_t head_bytes;
    memcpy(&head_bytes, out->data, sizeof head_bytes);
    size_t name_at = BSON_UINT32_FROM_LE(head_bytes) - END + 1;
    size_t array_at = name_at + strlen(out->data + name_at) + 1;
    sl_buf_add(out, "\0\0", 2);
    put_length(out->data + array_at, out->length - END - array_at);
    put_length(out->data, out->length);
}
