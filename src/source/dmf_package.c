/* A package's files, one after the other, into batches: directory and manifest first (by ranges),
 * then the whole package from its beginning, unzipped and parsed as it comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/encoding.h"
#include "format/manifest.h"
#include "format/unzip.h"
#include "format/utf16.h"
#include "loop/fiber.h"
#include "source/dmf_blob.h"
#include "source/dmf_feed.h"
#include "source/dmf_rows.h"

enum { CHUNK_BYTES = 64 * 1024, SLICE_NS = 2 * 1000 * 1000 };

struct package {
    struct sl_dmf *dmf;
    struct sl_blob *blob;
    struct sl_err read_error; /* of the blob, seen through the unzipper */
    struct sl_manifest manifest;
    bool has_manifest;
    uint64_t slice_start_ns;
};

/* --- bytes for the unzipper --- */

static ssize_t pull(void *ctx, const void **ret_bytes)
{
    struct package *package = ctx;
    size_t size = 0;
    if (sl_blob_read(package->blob, ret_bytes, &size, &package->read_error) != SL_OK)
        return -1;
    return (ssize_t)size;
}

static int seek(void *ctx, int64_t offset)
{
    struct package *package = ctx;
    sl_blob_seek(package->blob, offset);
    return 0;
}

/* The unzipper only knows that its input failed; the blob knows why. */
static int explain(const struct package *package, int rc, struct sl_err *err)
{
    if (rc != SL_CLOSED || package->read_error.code == SL_OK)
        return rc;
    *err = package->read_error;
    return err->code;
}

static int fresh_url(void *ctx, char **ret_url, struct sl_err *err)
{
    struct sl_dmf *dmf = ctx;
    int rc = sl_dmf_package_url(dmf->env.remote, dmf->run.returned_execution_id, ret_url, err);
    if (rc == SL_OK && !(*ret_url)[0]) {
        free(*ret_url);
        *ret_url = NULL;
        rc = sl_err_set(err, SL_CLOSED, "the environment gives no URL for the package now");
    }
    return rc;
}

/* --- the manifest --- */

static int read_whole(struct sl_unzip *unzip, struct sl_buf *ret, struct sl_err *err)
{
    for (;;) {
        size_t size;
        int rc = sl_unzip_read(unzip, sl_buf_reserve(ret, CHUNK_BYTES), CHUNK_BYTES, &size, err);
        if (rc == SL_END)
            return SL_OK;
        if (rc != SL_OK)
            return rc;
        sl_buf_commit(ret, size);
        if (ret->length > SL_MANIFEST_BYTES_MAX)
            return sl_err_set(err, SL_REJECTED, "Manifest.xml is larger than 8 MiB");
    }
}

static int parse_manifest(struct package *package, struct sl_unzip *unzip, struct sl_err *err)
{
    struct sl_buf text;
    sl_buf_init(&text);
    int rc = read_whole(unzip, &text, err);
    if (rc == SL_OK)
        rc = sl_manifest_parse(text.data, text.length, &package->manifest, err);
    package->has_manifest = rc == SL_OK;
    sl_buf_done(&text);
    return rc;
}

/* Reads the directory, and the manifest, which often comes last. A package that was cut off shows
 * here, before a single row of it was published. */
static int look_inside(struct package *package, struct sl_err *err)
{
    uint64_t most = package->dmf->settings->max_package_bytes;
    struct sl_unzip *unzip =
        sl_unzip_new_seekable(pull, seek, package, sl_blob_size(package->blob), most);
    struct sl_unzip_entry entry;
    int rc;
    while ((rc = sl_unzip_next(unzip, &entry, err)) == SL_OK) {
        if (strcasecmp(entry.name, "Manifest.xml"))
            continue;
        rc = parse_manifest(package, unzip, err);
        break;
    }
    sl_unzip_free(unzip);
    return rc == SL_END ? SL_OK : explain(package, rc, err);
}

/* --- which entity a file belongs to --- */

static bool is_file_of(const char *file, const char *name)
{
    size_t length = strlen(name);
    return !strncasecmp(file, name, length) &&
           (!file[length] || !strcasecmp(file + length, ".csv") ||
            !strcasecmp(file + length, ".txt"));
}

static const char *entity_name_of(const struct package *package, const char *file)
{
    for (uint32_t i = 0; package->has_manifest && i < package->manifest.count; i++) {
        const struct sl_manifest_entity *entity = &package->manifest.entities[i];
        if (!strcasecmp(entity->input_file_path, file))
            return entity->entity_name;
    }
    return NULL;
}

/* By the manifest, else by the file's own name. Returns the index in the feed, or -1. */
static int entity_of(const struct package *package, const char *file)
{
    const struct sl_feed_config *feed = package->dmf->feed;
    const char *name = entity_name_of(package, file);
    for (size_t i = 0; i < feed->entity_count; i++) {
        const char *configured = feed->entities[i].name;
        if (name ? !strcasecmp(name, configured) : is_file_of(file, configured))
            return (int)i;
    }
    return -1;
}

static bool is_package_file(const char *file)
{
    return !strcasecmp(file, "Manifest.xml") || !strcasecmp(file, "PackageHeader.xml");
}

/* --- one file --- */

/* Where the parsing of a file stands. */
struct reader {
    struct package *package;
    struct sl_csv *csv;
    struct sl_rows *rows;
    struct sl_utf16 utf16;
    enum sl_encoding encoding;
};

/* Work is cut into slices, so that the loop serves everybody else in between. */
static int breathe(struct package *package)
{
    uint64_t now_ns = sl_now_ns();
    if (now_ns - package->slice_start_ns < SLICE_NS)
        return SL_OK;
    int rc = sl_fiber_yield();
    package->slice_start_ns = sl_now_ns();
    return rc;
}

static int take_rows(struct reader *reader, struct sl_err *err)
{
    struct sl_csv_row row;
    for (unsigned i = 0;; i++) {
        enum sl_csv_result result = sl_csv_next(reader->csv, &row);
        if (result == SL_CSV_MORE || result == SL_CSV_END)
            return SL_OK;
        int rc = sl_rows_take(reader->rows, reader->package->dmf->batcher, result, &row, err);
        if (rc == SL_OK && i % 16 == 15)
            rc = breathe(reader->package);
        if (rc != SL_OK)
            return rc == SL_CANCELED ? sl_err_set(err, rc, "cancelled") : rc;
    }
}

/* Only for the first piece, which the parser has room for. */
static void feed_utf8(struct reader *reader, const char *bytes, size_t size)
{
    size_t room;
    memcpy(sl_csv_space(reader->csv, &room), bytes, size);
    sl_csv_filled(reader->csv, size);
}

static int feed_utf16(struct reader *reader, const char *bytes, size_t size, struct sl_err *err)
{
    while (size) {
        size_t room, used;
        char *space = sl_csv_space(reader->csv, &room);
        size_t out = sl_utf16_decode(&reader->utf16, bytes, size, &used, space, room);
        sl_csv_filled(reader->csv, out);
        bytes += used;
        size -= used;
        int rc = take_rows(reader, err);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static void sniff(struct reader *reader, const char *bytes, size_t size)
{
    static const enum sl_encoding configured[] = {
        [SL_DMF_ENCODING_UTF8] = SL_ENCODING_UTF8,
        [SL_DMF_ENCODING_UTF16LE] = SL_ENCODING_UTF16LE,
    };
    int setting = reader->package->dmf->settings->file_encoding;
    reader->encoding =
        setting == SL_DMF_ENCODING_AUTO ? sl_encoding_sniff(bytes, size) : configured[setting];
}

static int finish_file(struct reader *reader, struct sl_err *err)
{
    if (reader->encoding == SL_ENCODING_UTF16LE) {
        size_t room;
        char *space = sl_csv_space(reader->csv, &room);
        sl_csv_filled(reader->csv, sl_utf16_finish(&reader->utf16, space));
    }
    sl_csv_finish(reader->csv);
    return take_rows(reader, err);
}

/* UTF-8 is unzipped to where the parser reads it. */
static int read_utf8(struct reader *reader, struct sl_unzip *unzip, struct sl_err *err)
{
    for (;;) {
        size_t room, size;
        char *space = sl_csv_space(reader->csv, &room);
        int rc = sl_unzip_read(unzip, space, room, &size, err);
        if (rc != SL_OK)
            return rc;
        sl_csv_filled(reader->csv, size);
        rc = take_rows(reader, err);
        if (rc != SL_OK)
            return rc;
    }
}

static int read_utf16(struct reader *reader, struct sl_unzip *unzip, char *chunk,
                      struct sl_err *err)
{
    for (;;) {
        size_t size;
        int rc = sl_unzip_read(unzip, chunk, CHUNK_BYTES, &size, err);
        if (rc == SL_OK)
            rc = feed_utf16(reader, chunk, size, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* The first piece tells the encoding. It is small, so that it costs little to copy. */
static int read_file(struct reader *reader, struct sl_unzip *unzip, struct sl_err *err)
{
    char *chunk = sl_alloc(CHUNK_BYTES);
    size_t size = 0;
    int rc = sl_unzip_read(unzip, chunk, SL_ENCODING_SNIFF_BYTES, &size, err);
    if (rc == SL_OK) {
        sniff(reader, chunk, size);
        if (reader->encoding == SL_ENCODING_UTF16LE) {
            rc = feed_utf16(reader, chunk, size, err);
            if (rc == SL_OK)
                rc = read_utf16(reader, unzip, chunk, err);
        } else {
            feed_utf8(reader, chunk, size);
            rc = read_utf8(reader, unzip, err);
        }
    }
    free(chunk);
    return rc == SL_END ? finish_file(reader, err) : explain(reader->package, rc, err);
}

static struct sl_origin origin_of(const struct sl_dmf *dmf, const struct sl_entity_config *entity,
                                  const char *file)
{
    return (struct sl_origin){
        .feed = dmf->feed->name,
        .entity = entity->route,
        .run = dmf->run.id,
        .file = file,
        .attempt = dmf->run.attempt,
        .full = dmf->run.full,
        .lane = SL_LANE_BULK,
    };
}

/* One data file into batches of its entity. */
static int take_file(struct package *package, struct sl_unzip *unzip, const char *file, int index,
                     struct sl_err *err)
{
    struct sl_dmf *dmf = package->dmf;
    const struct sl_entity_config *entity = &dmf->feed->entities[index];
    struct sl_run_entity *total = &dmf->run.entities[index];
    struct sl_origin origin = origin_of(dmf, entity, file);
    struct sl_batcher_totals totals;

    struct reader reader = {.package = package};
    reader.csv = sl_csv_new(sl_dmf_delimiter(dmf->settings), dmf->env.limits->max_row_bytes);
    reader.rows = sl_rows_new(entity, file, total->counter);

    int rc = sl_batcher_begin(dmf->batcher, &origin, err);
    if (rc == SL_OK)
        rc = read_file(&reader, unzip, err);
    if (rc == SL_OK)
        rc = sl_batcher_end(dmf->batcher, &totals, err);
    if (rc == SL_OK) {
        total->read = totals.read;
        total->dead = totals.dead;
        total->superseded = totals.superseded;
        total->batches = totals.batches;
        total->finished = true;
    }
    sl_rows_free(reader.rows);
    sl_csv_free(reader.csv);
    return rc;
}

/* --- the package --- */

static int take_entry(struct package *package, struct sl_unzip *unzip,
                      const struct sl_unzip_entry *entry, struct sl_err *err)
{
    struct sl_dmf *dmf = package->dmf;
    int index = entity_of(package, entry->name);
    if (index < 0 || dmf->run.entities[index].finished || entry->size_bytes == 0) {
        if (!is_package_file(entry->name))
            sl_log(SL_INFO, "file passed over", SL_T("feed", dmf->feed->name),
                   SL_T("run", dmf->run.id), SL_T("file", entry->name),
                   SL_T("why", index < 0                ? "the configuration does not name it"
                               : entry->size_bytes == 0 ? "it is empty"
                                                        : "its entity was read already"));
        return SL_OK;
    }
    char *file = sl_strdup(entry->name); /* the entry's own goes with the next call */
    int rc = take_file(package, unzip, file, index, err);
    if (rc != SL_OK)
        rc = sl_err_wrap(err, "file '%s'", file);
    free(file);
    return rc;
}

static int take_all(struct package *package, struct sl_err *err)
{
    sl_blob_seek(package->blob, 0);
    struct sl_unzip *unzip = sl_unzip_new(pull, package, package->dmf->settings->max_package_bytes);
    struct sl_unzip_entry entry;
    int rc;
    while ((rc = sl_unzip_next(unzip, &entry, err)) == SL_OK) {
        rc = take_entry(package, unzip, &entry, err);
        if (rc != SL_OK)
            break;
    }
    sl_unzip_free(unzip);
    return rc == SL_END ? SL_OK : explain(package, rc, err);
}

static uint32_t batches_of(const struct sl_run *run)
{
    uint32_t batches = 0;
    for (unsigned i = 0; i < run->entity_count; i++)
        batches += run->entities[i].batches;
    return batches;
}

static int wait_committed(struct sl_dmf *dmf, struct sl_err *err)
{
    uint32_t batches = batches_of(&dmf->run);
    while (dmf->committed < batches && !dmf->released)
        if (sl_wait(&dmf->committed_changed, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled while batches were on their way");
    if (dmf->released)
        return sl_err_set(err, SL_CLOSED, "a batch could not be delivered");
    return SL_OK;
}

int sl_dmf_stream(struct sl_dmf *dmf, struct sl_err *err)
{
    struct package package = {.dmf = dmf, .slice_start_ns = sl_now_ns()};
    dmf->committed = 0;
    dmf->released = false;
    for (unsigned i = 0; i < dmf->run.entity_count; i++) {
        dmf->run.entities[i].finished = false;
        dmf->run.entities[i].batches = 0;
        dmf->run.entities[i].read = dmf->run.entities[i].dead = 0;
        dmf->run.entities[i].superseded = 0;
    }

    package.blob = sl_blob_new(dmf->env.remote->http, dmf->env.remote->settings->stall_timeout_ms,
                               fresh_url, dmf);
    int rc = sl_blob_probe(package.blob, err);
    if (rc == SL_OK && sl_blob_size(package.blob) == 0)
        rc = sl_err_set(err, SL_REJECTED, "the package is empty: no zip");
    else if (rc == SL_OK && sl_blob_has_ranges(package.blob))
        rc = look_inside(&package, err);
    if (rc == SL_OK)
        rc = take_all(&package, err);
    if (rc == SL_OK)
        rc = wait_committed(dmf, err);
    else
        sl_batcher_abandon(dmf->batcher);

    if (package.has_manifest)
        sl_manifest_done(&package.manifest);
    sl_blob_free(package.blob);
    return rc == SL_OK ? rc : sl_err_wrap(err, "package of run %s", dmf->run.id);
}
