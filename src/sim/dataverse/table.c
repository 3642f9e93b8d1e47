/* The rows of Dataverse tables and the log of their changes. */
#include "sim/dataverse/table.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/random.h"
#include "sim/text.h"

/* Odd, so that multiplying by it can be undone: the inverse modulo 2^32 is the other. */
#define SPREAD 0x9e3779b1u
#define GATHER 0x0e8b2f51u

/* Writes 16 bytes as a GUID with the marks of version 4. */
static void write_guid(uint32_t head, uint64_t rest, uint64_t tail, char *out)
{
    snprintf(out, DV_GUID_SIZE, "%08" PRIx32 "-%04x-4%03x-%04x-%012" PRIx64, head,
             (unsigned)(rest >> 48), (unsigned)(rest >> 32) & 0xfff,
             0x8000u | ((unsigned)rest & 0x3fff), tail >> 16);
}

/* The first 32 bits carry the row number, so that a GUID is found without an index. */
void dv_guid_write(uint64_t seed, const struct dv_schema *schema, uint32_t index, char *out)
{
    uint64_t base = sim_mix(seed ^ schema->salt);
    uint32_t head = (index ^ (uint32_t)base) * SPREAD;
    uint64_t rest = sim_mix(base + index);
    write_guid(head, rest, sim_mix(rest), out);
}

void dv_guid_of(uint64_t number, char *out)
{
    uint64_t rest = sim_mix(number);
    write_guid((uint32_t)(rest >> 11), rest, sim_mix(rest), out);
}

bool dv_table_find(const struct dv_table *table, const char *guid, uint32_t *ret_index)
{
    char folded[DV_GUID_SIZE];
    if (strlen(guid) != DV_GUID_SIZE - 1)
        return false;
    for (size_t i = 0; i < DV_GUID_SIZE; i++)
        folded[i] = (char)tolower((unsigned char)guid[i]);
    uint32_t head = (uint32_t)strtoul((char[9]){folded[0], folded[1], folded[2], folded[3],
                                                folded[4], folded[5], folded[6], folded[7], '\0'},
                                      NULL, 16);
    uint32_t index = (head * GATHER) ^ (uint32_t)sim_mix(table->seed ^ table->schema->salt);
    char own[DV_GUID_SIZE];
    if (index >= table->count)
        return false;
    dv_guid_write(table->seed, table->schema, index, own);
    if (strcmp(own, folded) != 0)
        return false;
    *ret_index = index;
    return true;
}

struct dv_image dv_table_image(const struct dv_table *table, uint32_t index)
{
    const struct dv_row *row = &table->rows[index];
    return (struct dv_image){
        .schema = table->schema,
        .seed = table->seed,
        .column_count = table->schema->column_count,
        .index = index,
        .revision = row->revision,
        .dead = row->dead,
        .version = row->version,
        .created_ms = (int64_t)row->created_s * 1000,
        .modified_ms = row->modified_ms,
    };
}

static void append(struct dv_table *table, uint32_t index, enum dv_op op)
{
    if (table->log_count == table->log_capacity) {
        table->log_capacity = table->log_capacity ? table->log_capacity * 2 : 256;
        table->log = sim_realloc(table->log, table->log_capacity * sizeof(*table->log));
    }
    table->log[table->log_count++] = (struct dv_log_entry){
        table->rows[index].version, table->rows[index].modified_ms, index, (uint32_t)op};
}

static void change(struct dv_table *table, uint32_t index, enum dv_op op, int64_t version,
                   int64_t time_ms)
{
    struct dv_row *row = &table->rows[index];
    row->version = version;
    row->modified_ms = time_ms;
    append(table, index, op);
}

uint32_t dv_table_create(struct dv_table *table, int64_t version, int64_t time_ms)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 256;
        table->rows = sim_realloc(table->rows, table->capacity * sizeof(*table->rows));
    }
    uint32_t index = (uint32_t)table->count++;
    table->rows[index] = (struct dv_row){.created_s = (uint32_t)(time_ms / 1000), .revision = 1};
    change(table, index, DV_CREATE, version, time_ms);
    return index;
}

void dv_table_update(struct dv_table *table, uint32_t index, int64_t version, int64_t time_ms)
{
    table->rows[index].revision++;
    change(table, index, DV_UPDATE, version, time_ms);
}

void dv_table_delete(struct dv_table *table, uint32_t index, int64_t version, int64_t time_ms)
{
    if (table->dead_count == table->dead_capacity) {
        table->dead_capacity = table->dead_capacity ? table->dead_capacity * 2 : 64;
        table->dead = sim_realloc(table->dead, table->dead_capacity * sizeof(*table->dead));
    }
    table->dead[table->dead_count++] = index;
    table->rows[index].dead = true;
    change(table, index, DV_DELETE, version, time_ms);
    table->rows[index].deletion = (uint32_t)table->log_count;
}

void dv_table_recreate(struct dv_table *table, uint32_t index, int64_t version, int64_t time_ms)
{
    size_t i = 0;
    while (table->dead[i] != index)
        i++;
    table->dead[i] = table->dead[--table->dead_count];
    struct dv_row *row = &table->rows[index];
    row->dead = false;
    row->revision++;
    row->created_s = (uint32_t)(time_ms / 1000);
    change(table, index, DV_RECREATE, version, time_ms);
}

static void repeat(struct dv_table *table, const struct dv_log_entry *entry)
{
    int64_t time_ms = entry->time_ms;
    switch (entry->op) {
    case DV_CREATE:
        dv_table_create(table, entry->version, time_ms);
        break;
    case DV_DELETE:
        dv_table_delete(table, entry->index, entry->version, time_ms);
        break;
    case DV_RECREATE:
        dv_table_recreate(table, entry->index, entry->version, time_ms);
        break;
    default:
        dv_table_update(table, entry->index, entry->version, time_ms);
    }
}

void dv_table_rewind(struct dv_table *table, int64_t version)
{
    struct dv_log_entry *log = table->log;
    size_t count = dv_table_log_after(table, version);
    table->log = NULL;
    table->count = table->log_count = table->log_capacity = table->dead_count = 0;
    for (size_t i = 0; i < count; i++)
        repeat(table, &log[i]);
    free(log);
}

bool dv_table_pick(const struct dv_table *table, bool dead, uint64_t random, uint32_t *ret_index)
{
    if (dead) {
        if (table->dead_count == 0)
            return false;
        *ret_index = table->dead[random % table->dead_count];
        return true;
    }
    if (table->dead_count == table->count)
        return false;
    uint64_t state = random;
    for (int tries = 0; tries < 64; tries++) {
        *ret_index = (uint32_t)(sim_random(&state) % table->count);
        if (!table->rows[*ret_index].dead)
            return true;
    }
    /* Nearly all are deleted: the next living one. */
    while (table->rows[*ret_index].dead)
        *ret_index = (uint32_t)((*ret_index + 1) % table->count);
    return true;
}

size_t dv_table_log_after(const struct dv_table *table, int64_t version)
{
    size_t low = 0;
    size_t high = table->log_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table->log[middle].version <= version)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void dv_table_clear(struct dv_table *table)
{
    free(table->rows);
    free(table->dead);
    free(table->log);
    table->rows = NULL;
    table->dead = NULL;
    table->log = NULL;
    table->count = table->capacity = 0;
    table->dead_count = table->dead_capacity = 0;
    table->log_count = table->log_capacity = 0;
}
