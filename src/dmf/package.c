/* A package's files, one after the other, into batches: directory and manifest first (by ranges),
 * then the whole package from its beginning, unzipped and parsed as it comes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dmf/blob.h"
#include "dmf/dmf_own.h"
#include "format/manifest.h"

enum { CHUNK_BYTES = 64 * 1024 };

#define INCREMENTAL "Incremental" /* how a manifest's word for a push of changes begins */

struct package {
    struct sl_dmf *dmf;
    struct sl_blob *blob;
    struct sl_err read_error; /* of the blob, seen through the unzipper */
    struct sl_manifest manifest;
    bool has_manifest;
    bool present[SL_RUN_ENTITIES_MAX];    /* of the feed's entities */
    char stranger[SL_NAME_MAX];           /* an entity that the configuration does not name */
    bool found[SL_MANIFEST_ENTITIES_MAX]; /* of the manifest's entities: their files */
    char unlisted[SL_NAME_MAX];           /* a file that the manifest does not name */
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

/* The unzipper only knows that its input failed, or that there is too much of it. */
static int explain(const struct package *package, int rc, struct sl_err *err)
{
    if (rc == SL_CONFIG && !err->retry_after_ms) {
        sl_err_set(err, rc,
                   "it inflates to more than max_package of the feed, %" PRIu64
                   " bytes: raise that, and start again; the environment keeps it for seven days",
                   package->dmf->settings->max_package_bytes);
        err->retry_after_ms = SL_DMF_MISFIT_PAUSE_MS;
    }
    if (rc != SL_CLOSED || package->read_error.code == SL_OK)
        return rc;
    *err = package->read_error;
    return err->code;
}

static int fresh_url(void *ctx, char **ret_url, struct sl_err *err)
{
    struct sl_dmf *dmf = ctx;
    int rc = sl_dmf_package_url(dmf->env.remote, dmf->run.returned_execution_id, ret_url, err);
    if (rc == SL_REJECTED) /* here it means a broken package, which this is not */
        return err->code = SL_CLOSED;
    if (rc == SL_OK && !(*ret_url)[0]) {
        free(*ret_url);
        *ret_url = NULL;
        rc = sl_err_set(err, SL_CLOSED, "the environment gives no URL for the package now");
    }
    return rc;
}

/* In the words of sl_dmf_stream's own failures, so that the same one is told once. */
static bool note_trouble(void *ctx, const char *text)
{
    struct sl_dmf *dmf = ctx;
    struct sl_err err = {0};
    if (!text[0])
        return sl_dmf_trouble(dmf, "");
    sl_err_set(&err, SL_CLOSED, "%s", text);
    sl_err_wrap(&err, "package of run %s", dmf->run.id);
    return sl_dmf_trouble(dmf, err.message);
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

/* The manifest's entity whose file it is; -1: it tells of none. */
static int listed_as(const struct package *package, const char *file)
{
    for (uint32_t i = 0; package->has_manifest && i < package->manifest.count; i++)
        if (!strcasecmp(package->manifest.entities[i].input_file_path, file))
            return (int)i;
    return -1;
}

static const char *entity_name_of(const struct package *package, const char *file)
{
    int listed = listed_as(package, file);
    return listed < 0 ? NULL : package->manifest.entities[listed].entity_name;
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

/* A full export that brings changes only heals nothing, and a refresh would take all else for
 * deleted. */
static void note_increment(struct sl_dmf *dmf, const struct sl_entity_config *config)
{
    struct sl_run_entity *entity = sl_dmf_entity(dmf, config);
    if (!entity || entity->changes_only)
        return;
    entity->changes_only = true;
    sl_log(SL_WARN,
           "the manifest of a full export says that it brings changes only: set the entity to "
           "'Full push only' in the data project",
           SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
           SL_T("project", dmf->settings->full_definition_group), SL_T("entity", config->name));
}

/* Its file is called otherwise than the manifest has it, perhaps: there is one that it does not
 * name. */
static bool may_be_unlisted(const struct package *package, uint32_t listed)
{
    return package->unlisted[0] && !package->found[listed] &&
           package->manifest.entities[listed].input_file_path[0];
}

/* The entity was exported, and had no rows: it has no file, which some environments do. */
static void note_without_rows(struct package *package, const struct sl_manifest_entity *named,
                              size_t index)
{
    const struct sl_entity_config *config = &package->dmf->feed->entities[index];
    struct sl_run_entity *entity = sl_dmf_entity(package->dmf, config);
    package->present[index] = true;
    if (entity && strcasecmp(named->disable, "Yes") != 0)
        entity->finished = true;
}

/* What is in the manifest was exported, whether it has a file or not. */
static void note_named(struct package *package)
{
    struct sl_dmf *dmf = package->dmf;
    const struct sl_feed_config *feed = dmf->feed;
    for (uint32_t i = 0; package->has_manifest && i < package->manifest.count; i++)
        for (size_t k = 0; k < feed->entity_count; k++) {
            const struct sl_manifest_entity *named = &package->manifest.entities[i];
            if (strcasecmp(named->entity_name, feed->entities[k].name))
                continue;
            if (may_be_unlisted(package, i))
                memcpy(package->stranger, package->unlisted, sizeof package->stranger);
            else if (!package->present[k])
                note_without_rows(package, named, k);
            if (dmf->run.full &&
                !strncasecmp(named->refresh_type, INCREMENTAL, strlen(INCREMENTAL)))
                note_increment(dmf, &feed->entities[k]);
        }
}

static bool is_package_file(const char *file)
{
    return !strcasecmp(file, "Manifest.xml") || !strcasecmp(file, "PackageHeader.xml");
}

static void note_stranger(struct package *package, const char *file)
{
    const char *name = entity_name_of(package, file), *end = strrchr(file, '.');
    if (!package->stranger[0] && (name || (end && !strcasecmp(end, ".csv"))))
        snprintf(package->stranger, sizeof package->stranger, "%s", name ? name : file);
    if (package->has_manifest && !name && !is_package_file(file))
        snprintf(package->unlisted, sizeof package->unlisted, "%s", file);
}

/* --- one file --- */

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
    struct sl_run_entity *total = sl_dmf_entity(dmf, entity);
    struct sl_origin origin = origin_of(dmf, entity, file);
    struct sl_batcher_totals totals;

    struct sl_rows *rows = sl_rows_new(entity, file, total->counter);
    int rc = sl_batcher_begin(dmf->batcher, &origin, err);
    if (rc == SL_OK)
        rc = explain(package, sl_dmf_read_file(dmf, unzip, rows, err), err);
    if (rc == SL_OK)
        rc = sl_batcher_end(dmf->batcher, &totals, err);
    if (rc == SL_OK) {
        total->read = totals.read;
        total->dead = totals.dead;
        total->superseded = totals.superseded;
        total->batches = totals.batches;
        total->finished = sl_rows_begun(rows);
    }
    sl_rows_free(rows);
    return rc;
}

/* --- the package --- */

/* NULL: it is to be read. */
static const char *why_passed_over(struct sl_dmf *dmf, int index,
                                   const struct sl_unzip_entry *entry)
{
    const struct sl_entity_config *entity = &dmf->feed->entities[index];
    if (entry->size_bytes == 0)
        return "it is empty";
    if (sl_dmf_entity(dmf, entity))
        return NULL;
    sl_dmf_note_missed(dmf, entity); /* it has no version counter here */
    return "its entity was configured after the export had begun";
}

/* A second one would begin its batches and rows by the same numbers. */
static int check_first(struct sl_dmf *dmf, int index, struct sl_err *err)
{
    const struct sl_entity_config *entity = &dmf->feed->entities[index];
    const struct sl_run_entity *total = sl_dmf_entity(dmf, entity);
    if (!total->batches)
        return SL_OK;
    return sl_err_set(err, SL_REJECTED,
                      "it is a second file of entity '%s', whose rows cannot be told from those of "
                      "the first; let the data project have the entity once",
                      entity->name);
}

static int take_entry(struct package *package, struct sl_unzip *unzip,
                      const struct sl_unzip_entry *entry, struct sl_err *err)
{
    struct sl_dmf *dmf = package->dmf;
    int index = entity_of(package, entry->name), listed = listed_as(package, entry->name);
    if (listed >= 0)
        package->found[listed] = true;
    if (index < 0)
        note_stranger(package, entry->name);
    else
        package->present[index] = true;
    const char *why =
        index < 0 ? "the configuration does not name it" : why_passed_over(dmf, index, entry);
    if (why) {
        if (!is_package_file(entry->name))
            sl_log(SL_INFO, "file passed over", SL_T("feed", dmf->feed->name),
                   SL_T("run", dmf->run.id), SL_T("file", entry->name), SL_T("why", why));
        return SL_OK;
    }
    char *file = sl_strdup(entry->name); /* the entry's own goes with the next call */
    int rc = check_first(dmf, index, err);
    if (rc == SL_OK)
        rc = take_file(package, unzip, file, index, err);
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
    int rc = SL_OK;
    while (rc == SL_OK) {
        rc = explain(package, sl_unzip_next(unzip, &entry, err), err);
        if (rc == SL_OK)
            rc = take_entry(package, unzip, &entry, err);
    }
    sl_unzip_free(unzip);
    return rc == SL_END ? SL_OK : rc;
}

static uint32_t batches_of(const struct sl_run *run)
{
    uint32_t batches = 0;
    for (unsigned i = 0; i < run->entity_count; i++)
        batches += run->entities[i].batches;
    return batches;
}

int sl_dmf_wait_committed(struct sl_dmf *dmf, struct sl_err *err)
{
    uint32_t batches = batches_of(&dmf->run);
    while (dmf->committed < batches && !dmf->released)
        if (sl_wait(&dmf->committed_changed, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled while batches were on their way");
    if (dmf->released)
        return sl_err_set(err, SL_CLOSED, "a batch could not be delivered");
    return SL_OK;
}

void sl_dmf_forget_attempt(struct sl_dmf *dmf)
{
    dmf->committed = 0;
    dmf->released = false;
    for (unsigned i = 0; i < dmf->run.entity_count; i++) {
        struct sl_run_entity *entity = &dmf->run.entities[i];
        entity->read = entity->dead = entity->superseded = 0;
        entity->batches = 0;
        entity->finished = entity->changes_only = false;
    }
}

int sl_dmf_stream(struct sl_dmf *dmf, struct sl_err *err)
{
    struct package package = {.dmf = dmf};
    uint64_t closings = sl_batcher_closings(dmf->batcher);
    sl_dmf_forget_attempt(dmf);
    package.blob = sl_blob_new(dmf->env.remote->http, dmf->env.remote->settings->stall_timeout_ms,
                               fresh_url, note_trouble, dmf);
    int rc = sl_blob_probe(package.blob, err);
    if (rc == SL_OK && sl_blob_size(package.blob) == 0)
        rc = sl_err_set(err, SL_REJECTED, "the package is empty: no zip");
    else if (rc == SL_OK && sl_blob_has_ranges(package.blob))
        rc = look_inside(&package, err);
    if (rc == SL_OK)
        rc = take_all(&package, err);
    if (rc == SL_OK) {
        note_named(&package);
        rc = sl_dmf_check_names(dmf, package.present, package.has_manifest, package.stranger, err);
    }
    if (rc == SL_OK) {
        rc = sl_dmf_wait_committed(dmf, err);
    } else {
        /* What does not fit fails each time alike: its rows need not be written again and again. */
        if (rc != SL_CONFIG && sl_batcher_closings(dmf->batcher) != closings)
            sl_dmf_spoil(dmf, rc == SL_REJECTED);
        sl_batcher_abandon(dmf->batcher);
    }

    if (package.has_manifest)
        sl_manifest_done(&package.manifest);
    sl_blob_free(package.blob);
    return rc == SL_OK ? rc : sl_err_wrap(err, "package of run %s", dmf->run.id);
}
