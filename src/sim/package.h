/* Export packages: a zip with a data file for each entity, Manifest.xml and PackageHeader.xml.
 * Source: "Data management package REST API" of Microsoft's documentation, and real packages. */
#ifndef SIM_PACKAGE_H
#define SIM_PACKAGE_H

#include <stdatomic.h>

#include "sim/csv_out.h"
#include "sim/faults.h"
#include "sim/records.h"

/* One data file. The snapshot is borrowed. */
struct sim_package_file {
    const char *name;
    const struct sim_snapshot *snapshot;
};

/* Everything that decides what the bytes of a package are. */
struct sim_package_plan {
    const char *project;
    bool incremental; /* says its manifest */
    struct sim_format format;
    struct sim_faults faults;
    int level;
    bool manifest_last;
    bool data_descriptors;
    bool force_zip64;
    bool unquoted;
    bool skip_empty; /* an entity without rows has no file */
    bool partial;    /* every tenth row is missing */
    const struct sim_package_file *files;
    size_t file_count;
    const atomic_bool *cancel; /* building ends when it turns true */
};

struct sim_package {
    uint64_t size;
    uint64_t damage_at; /* the middle of the first data file's deflated bytes */
};

/* How many rows the plan's file has. */
size_t sim_package_rows(const struct sim_package_plan *plan, size_t file);

/* Builds the package at path. Returns 0, or -1 with the reason in problem; then no file is left.
 * Takes seconds for a big one. */
int sim_package_build(const struct sim_package_plan *plan, const char *path,
                      struct sim_package *ret_package, char *problem, size_t size);

/* A number for the content of the whole package: equal plans over equal data have the same. */
uint64_t sim_package_key(const struct sim_package_plan *plan);

/* Adds PackageHeader.xml and Manifest.xml, UTF-16LE with byte order mark, on one line. */
void sim_manifest_header(const struct sim_package_plan *plan, struct sim_text *out);
void sim_manifest_main(const struct sim_package_plan *plan, struct sim_text *out);

#endif
