/* Builds export packages. */
#include "sim/package.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "sim/random.h"
#include "sim/zip_out.h"

/* Raise it when rows, files or manifests change their looks: kept packages are then built anew. */
#define LAYOUT_VERSION 1

#define PARTIAL_EVERY 10

size_t sim_package_rows(const struct sim_package_plan *plan, size_t file)
{
    size_t count = plan->files[file].snapshot->count;
    return plan->partial ? count - (count + PARTIAL_EVERY - 1) / PARTIAL_EVERY : count;
}

static int to_zip(void *arg, const char *bytes, size_t len)
{
    return sim_zip_write(arg, bytes, len);
}

static int write_rows(const struct sim_package_plan *plan, const struct sim_snapshot *snapshot,
                      struct sim_csv *csv, struct sim_row *row)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        if (i % 1024 == 0 && atomic_load_explicit(plan->cancel, memory_order_relaxed)) {
            errno = ECANCELED;
            return -1;
        }
        if (plan->partial && i % PARTIAL_EVERY == 0)
            continue;
        size_t index = snapshot->indices ? snapshot->indices[i] : i;
        char key[SIM_KEY_SIZE];
        sim_segment_key(snapshot->segments, snapshot->segment_count, index, key);
        struct sim_row_of of = {
            .entity = snapshot->entity,
            .seed = snapshot->seed,
            .company = snapshot->company,
            .key = key,
            .revision = snapshot->revisions[i],
            .fault = sim_faults_of(&plan->faults, index),
            .big_bytes = sim_faults_big(&plan->faults, index),
        };
        sim_row_make(row, &of);
        if (sim_csv_row(csv, row, of.fault) != 0)
            return -1;
    }
    return sim_csv_end(csv);
}

static int add_data_file(const struct sim_package_plan *plan, size_t file, struct sim_zip *zip)
{
    const struct sim_snapshot *snapshot = plan->files[file].snapshot;
    if (snapshot->count == 0 && plan->skip_empty)
        return 0;

    uint64_t unit = plan->format.encoding >= ENCODING_UTF16LE ? 2 : 1;
    uint64_t most = (snapshot->count + 1) * SIM_ROW_MAX * unit;
    most += plan->faults.big_rows * plan->faults.big_bytes * unit;
    if (sim_zip_begin(zip, plan->files[file].name, most) != 0)
        return -1;

    struct sim_row row = {0};
    struct sim_csv csv = {
        .format = plan->format, .unquoted = plan->unquoted, .sink = to_zip, .arg = zip};
    sim_csv_begin(&csv, snapshot->entity);
    int rc = write_rows(plan, snapshot, &csv, &row);
    sim_csv_done(&csv);
    sim_row_done(&row);
    return rc == 0 ? sim_zip_end(zip) : -1;
}

static int add_xml(struct sim_zip *zip, const char *name, const struct sim_text *xml)
{
    if (sim_zip_begin(zip, name, xml->len) != 0 || sim_zip_write(zip, xml->data, xml->len) != 0)
        return -1;
    return sim_zip_end(zip);
}

static int add_manifest(const struct sim_package_plan *plan, struct sim_zip *zip)
{
    struct sim_text header = {0};
    struct sim_text manifest = {0};
    sim_manifest_header(plan, &header);
    sim_manifest_main(plan, &manifest);
    int rc = add_xml(zip, "PackageHeader.xml", &header);
    if (rc == 0)
        rc = add_xml(zip, "Manifest.xml", &manifest);
    sim_text_done(&header);
    sim_text_done(&manifest);
    return rc;
}

static int build(const struct sim_package_plan *plan, struct sim_zip *zip,
                 struct sim_package *ret_package)
{
    if (!plan->manifest_last && add_manifest(plan, zip) != 0)
        return -1;
    size_t first = zip->entry_count;
    for (size_t i = 0; i < plan->file_count; i++)
        if (add_data_file(plan, i, zip) != 0)
            return -1;
    if (plan->manifest_last && add_manifest(plan, zip) != 0)
        return -1;

    const struct sim_zip_entry *entry = &zip->entries[first < zip->entry_count ? first : 0];
    ret_package->damage_at = entry->data_offset + entry->packed / 2;
    return sim_zip_finish(zip, &ret_package->size);
}

int sim_package_build(const struct sim_package_plan *plan, const char *path,
                      struct sim_package *ret_package, char *problem, size_t size)
{
    struct sim_zip zip = {.level = plan->level,
                          .data_descriptors = plan->data_descriptors,
                          .force_zip64 = plan->force_zip64};
    int rc = sim_zip_open(&zip, path);
    if (rc == 0)
        rc = build(plan, &zip, ret_package);
    if (rc != 0) {
        snprintf(problem, size, "cannot build %s: %s", path, strerror(errno));
        unlink(path);
    }
    sim_zip_done(&zip);
    return rc;
}

static uint64_t add_words(uint64_t hash, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = sim_mix(hash ^ words[i]);
    return hash;
}

uint64_t sim_package_key(const struct sim_package_plan *plan)
{
    const struct sim_format *format = &plan->format;
    const struct sim_faults *faults = &plan->faults;
    const uint64_t words[] = {
        LAYOUT_VERSION,        format->encoding,      format->newline,
        format->header_upper,  format->quote_all,     (unsigned char)format->delimiter,
        faults->untypable,     faults->wrong_columns, faults->empty_key,
        faults->every,         faults->big_rows,      faults->big_bytes,
        (uint64_t)plan->level, plan->manifest_last,   plan->data_descriptors,
        plan->force_zip64,     plan->unquoted,        plan->skip_empty,
        plan->partial,         plan->incremental,
    };
    uint64_t hash = sim_fnv(SIM_FNV_START, plan->project, strlen(plan->project) + 1);
    hash = add_words(hash, words, sizeof(words) / sizeof(words[0]));
    for (size_t i = 0; i < plan->file_count; i++) {
        hash = sim_fnv(hash, plan->files[i].name, strlen(plan->files[i].name) + 1);
        hash = sim_mix(hash ^ sim_snapshot_hash(plan->files[i].snapshot));
    }
    return hash;
}
