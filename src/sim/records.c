/* The records that exist: creating, changing, and the snapshot that a package is made from. */
#include "sim/records.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sim/random.h"
#include "sim/text.h"

void sim_company_fold(char *out, const char *company)
{
    size_t i = 0;
    for (; company[i] && i + 1 < SIM_COMPANY_SIZE; i++)
        out[i] = (char)tolower((unsigned char)company[i]);
    out[i] = '\0';
}

struct sim_table *sim_store_table(struct sim_store *store, const struct sim_entity *entity,
                                  const char *company, bool create)
{
    char folded[SIM_COMPANY_SIZE];
    sim_company_fold(folded, company);
    for (size_t i = 0; i < store->table_count; i++) {
        struct sim_table *table = store->tables[i];
        if (table->entity == entity && strcmp(table->company, folded) == 0)
            return table;
    }
    if (!create)
        return NULL;

    struct sim_table *table = sim_alloc(sizeof(*table));
    table->entity = entity;
    memcpy(table->company, folded, sizeof(folded));
    store->tables =
        sim_realloc(store->tables, (store->table_count + 1) * sizeof(struct sim_table *));
    store->tables[store->table_count++] = table;
    return table;
}

static void tell(const struct sim_store *store, const struct sim_table *table, size_t index)
{
    if (store->changed)
        store->changed(store->changed_ctx, table, index);
}

static size_t segment_end(const struct sim_table *table, size_t segment)
{
    return segment + 1 < table->segment_count ? table->segments[segment + 1].first_index
                                              : table->count;
}

void sim_table_create(struct sim_store *store, struct sim_table *table, size_t count,
                      const char *prefix)
{
    if (count == 0)
        return;
    if (!prefix)
        prefix = table->entity->key_prefix;

    uint32_t number = 1;
    for (size_t i = 0; i < table->segment_count; i++)
        if (strcmp(table->segments[i].prefix, prefix) == 0)
            number = table->segments[i].first_number +
                     (uint32_t)(segment_end(table, i) - table->segments[i].first_index);
    bool goes_on = table->segment_count &&
                   strcmp(table->segments[table->segment_count - 1].prefix, prefix) == 0;
    if (!goes_on) {
        table->segments =
            sim_realloc(table->segments, (table->segment_count + 1) * sizeof(struct sim_segment));
        struct sim_segment *segment = &table->segments[table->segment_count++];
        sim_copy(segment->prefix, sizeof(segment->prefix), prefix);
        segment->first_index = (uint32_t)table->count;
        segment->first_number = number;
    }

    if (table->count + count > table->capacity) {
        table->capacity = table->count + count + table->count / 2;
        table->records = sim_realloc(table->records, table->capacity * sizeof(struct sim_record));
    }
    store->clock++;
    for (size_t i = 0; i < count; i++)
        table->records[table->count + i] = (struct sim_record){1, store->clock};
    table->count += count;
    for (size_t i = table->count - count; store->changed && i < table->count; i++)
        tell(store, table, i);
}

static size_t greatest_common_divisor(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t change_or_delete(struct sim_store *store, struct sim_table *table,
                               const struct sim_pick *pick, bool delete)
{
    size_t done = 0;
    if (pick->count == 0 || table->count == 0)
        return 0;

    /* index = start + i * step visits each record once when step and count have no divisor. */
    uint64_t state = pick->seed ? pick->seed : sim_random(&store->picks);
    size_t start = sim_random(&state) % table->count;
    size_t step = sim_random(&state) % table->count;
    while (greatest_common_divisor(step, table->count) != 1)
        step = (step + 1) % table->count;

    store->clock++;
    size_t index = start;
    for (size_t i = 0; i < table->count && done < pick->count; i++) {
        struct sim_record *record = &table->records[index];
        if (!sim_record_is_dead(record)) {
            record->revision += !delete;
            record->changed = delete ? 0 : store->clock;
            if (pick->visit)
                pick->visit(pick->arg, index);
            tell(store, table, index);
            done++;
        }
        index = (index + step) % table->count;
    }
    return done;
}

size_t sim_table_change(struct sim_store *store, struct sim_table *table,
                        const struct sim_pick *pick)
{
    return change_or_delete(store, table, pick, false);
}

size_t sim_table_delete(struct sim_store *store, struct sim_table *table,
                        const struct sim_pick *pick)
{
    return change_or_delete(store, table, pick, true);
}

/* The index of a key in one segment; -1 when it is not there. */
static int64_t find_in_segment(const struct sim_table *table, size_t segment, const char *key)
{
    const struct sim_segment *s = &table->segments[segment];
    size_t len = strlen(s->prefix);
    if (strncmp(key, s->prefix, len) != 0 || key[len] != '-')
        return -1;
    char *end;
    unsigned long number = strtoul(key + len + 1, &end, 10);
    if (*end || end - (key + len + 1) < 6 || number < s->first_number)
        return -1;
    size_t index = s->first_index + (number - s->first_number);
    return index < segment_end(table, segment) ? (int64_t)index : -1;
}

bool sim_table_change_key(struct sim_store *store, struct sim_table *table, const char *key)
{
    size_t len = strlen(table->company);
    if (strncmp(key, table->company, len) == 0 && key[len] == '|')
        key += len + 1;
    for (size_t i = 0; i < table->segment_count; i++) {
        int64_t index = find_in_segment(table, i, key);
        if (index >= 0) {
            table->records[index].revision++;
            table->records[index].changed = ++store->clock;
            tell(store, table, (size_t)index);
            return true;
        }
    }
    return false;
}

void sim_segment_key(const struct sim_segment *segments, size_t segment_count, size_t index,
                     char *out)
{
    size_t i = segment_count - 1;
    while (segments[i].first_index > index)
        i--;
    uint64_t number = segments[i].first_number + (index - segments[i].first_index);

    size_t len = strlen(segments[i].prefix);
    memcpy(out, segments[i].prefix, len);
    out[len++] = '-';
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number || sizeof(digits) - at < 6);
    memcpy(out + len, digits + at, sizeof(digits) - at);
    out[len + sizeof(digits) - at] = '\0';
}

void sim_snapshot_take(struct sim_snapshot *snapshot, const struct sim_store *store,
                       const struct sim_table *table, const struct sim_entity *entity,
                       const char *company, uint32_t since)
{
    *snapshot = (struct sim_snapshot){.entity = entity, .seed = store->seed};
    sim_company_fold(snapshot->company, company);
    if (!table || table->count == 0)
        return;

    size_t count = 0;
    for (size_t i = 0; i < table->count; i++)
        count += table->records[i].changed > since;
    snapshot->segment_count = table->segment_count;
    snapshot->segments = sim_alloc(table->segment_count * sizeof(struct sim_segment));
    memcpy(snapshot->segments, table->segments, table->segment_count * sizeof(struct sim_segment));
    snapshot->revisions = sim_alloc(count * sizeof(uint32_t));
    if (count < table->count)
        snapshot->indices = sim_alloc(count * sizeof(uint32_t));
    for (size_t i = 0; i < table->count; i++) {
        if (table->records[i].changed <= since)
            continue;
        if (snapshot->indices)
            snapshot->indices[snapshot->count] = (uint32_t)i;
        snapshot->revisions[snapshot->count++] = table->records[i].revision;
    }
}

void sim_snapshot_done(struct sim_snapshot *snapshot)
{
    free(snapshot->segments);
    free(snapshot->indices);
    free(snapshot->revisions);
    *snapshot = (struct sim_snapshot){0};
}

uint64_t sim_snapshot_hash(const struct sim_snapshot *snapshot)
{
    uint64_t hash =
        sim_fnv(SIM_FNV_START, snapshot->entity->label, strlen(snapshot->entity->label) + 1);
    hash = sim_fnv(hash, snapshot->company, strlen(snapshot->company) + 1);
    hash = sim_fnv(hash, &snapshot->seed, sizeof(snapshot->seed));
    for (size_t i = 0; i < snapshot->segment_count; i++) {
        const struct sim_segment *s = &snapshot->segments[i];
        hash = sim_fnv(hash, s->prefix, strlen(s->prefix) + 1);
        hash = sim_mix(hash + s->first_index) + s->first_number;
    }
    for (size_t i = 0; i < snapshot->count; i++) {
        uint64_t index = snapshot->indices ? snapshot->indices[i] : i;
        hash = sim_mix(hash ^ (index << 32 | snapshot->revisions[i]));
    }
    return hash;
}

void sim_store_clear(struct sim_store *store)
{
    for (size_t i = 0; i < store->table_count; i++) {
        free(store->tables[i]->records);
        free(store->tables[i]->segments);
        free(store->tables[i]);
    }
    free(store->tables);
    store->tables = NULL;
    store->table_count = 0;
}
