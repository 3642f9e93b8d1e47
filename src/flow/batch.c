#include "flow/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *sl_lane_name(enum sl_lane lane)
{
    static const char *const names[] = {[SL_LANE_FAST] = "fast", [SL_LANE_BULK] = "bulk"};
    return names[lane];
}

enum { BLOCK_BYTES_MIN = 1024 };

struct sl_batch *sl_batch_new(struct sl_credit *credit, size_t credit_bytes)
{
    struct sl_batch *batch = SL_NEW(struct sl_batch);
    bool small = credit_bytes >= BLOCK_BYTES_MIN && credit_bytes < SL_ARENA_BLOCK_BYTES;
    sl_arena_init(&batch->arena, small ? credit_bytes : SL_ARENA_BLOCK_BYTES);
    batch->credit = credit;
    batch->credit_bytes = credit_bytes;
    batch->origin.batches = -1;
    return batch;
}

void sl_batch_free(struct sl_batch *batch)
{
    if (!batch)
        return;
    if (batch->credit)
        sl_credit_give(batch->credit, batch->credit_bytes);
    sl_arena_done(&batch->arena);
    free(batch->adopted);
    free(batch->records);
    free(batch->dead);
    free(batch);
}

static const char *copy_text(struct sl_batch *batch, const char *text)
{
    return text ? sl_arena_text(&batch->arena, text, strlen(text)) : "";
}

void sl_batch_set_origin(struct sl_batch *batch, const struct sl_origin *origin)
{
    batch->origin = *origin;
    batch->origin.feed = copy_text(batch, origin->feed);
    batch->origin.entity = copy_text(batch, origin->entity);
    if (origin->collection) {
        batch->origin.database = copy_text(batch, origin->database);
        batch->origin.collection = copy_text(batch, origin->collection);
    }
    batch->origin.run = copy_text(batch, origin->run);
    batch->origin.file = copy_text(batch, origin->file);
    if (origin->seen)
        batch->origin.seen = copy_text(batch, origin->seen);
    else if (origin->full)
        batch->origin.seen = batch->origin.run;
}

static uint32_t grown(uint32_t capacity)
{
    return capacity ? capacity * 2 : 64;
}

struct sl_record *sl_batch_add(struct sl_batch *batch)
{
    if (batch->count == batch->capacity) {
        batch->capacity = grown(batch->capacity);
        batch->records = sl_realloc(batch->records, batch->capacity * sizeof *batch->records);
    }
    struct sl_record *record = &batch->records[batch->count++];
    memset(record, 0, sizeof *record);
    return record;
}

struct sl_dead *sl_batch_add_dead(struct sl_batch *batch)
{
    if (batch->dead_count == batch->dead_capacity) {
        batch->dead_capacity = grown(batch->dead_capacity);
        batch->dead = sl_realloc(batch->dead, batch->dead_capacity * sizeof *batch->dead);
    }
    struct sl_dead *dead = &batch->dead[batch->dead_count++];
    memset(dead, 0, sizeof *dead);
    return dead;
}

struct sl_str sl_batch_keep(struct sl_batch *batch, struct sl_str text)
{
    return (struct sl_str){sl_arena_copy(&batch->arena, text.at, text.length), text.length};
}

void sl_batch_adopt(struct sl_batch *batch, void *memory, size_t bytes)
{
    batch->adopted = memory;
    batch->adopted_bytes = bytes;
    if (!batch->arena.blocks && batch->arena.block_bytes > bytes / 2)
        sl_arena_init(&batch->arena, bytes / 2); /* the documents are not in it */
}

uint32_t sl_batch_read(const struct sl_batch *batch)
{
    return batch->count + batch->dead_count + batch->superseded;
}

bool sl_batch_cover(struct sl_batch *batch)
{
    size_t held = batch->arena.held_bytes + batch->adopted_bytes;
    if (!batch->credit || held <= batch->credit_bytes)
        return true;
    if (!sl_credit_try(batch->credit, held - batch->credit_bytes))
        return false;
    batch->credit_bytes = held;
    return true;
}

void sl_batch_settle_credit(struct sl_batch *batch)
{
    if (!batch->credit)
        return;
    size_t held = batch->arena.held_bytes + batch->adopted_bytes;
    if (held > batch->credit_bytes)
        sl_credit_force(batch->credit, held - batch->credit_bytes);
    else
        sl_credit_give(batch->credit, batch->credit_bytes - held);
    batch->credit_bytes = held;
}
