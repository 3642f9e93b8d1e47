/* What can be made of a letter, and what to do when nothing can. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "config/value.h"
#include "dmf/letter.h"
#include "dmf/settings.h"
#include "flow/dead_code.h"
#include "format/bson_reader.h"
#include "replay/replay_own.h"

static bool is_type(const struct sl_feed_config *feed, const char *name)
{
    return !strcmp(feed->source->type->name, name);
}

/* How the row comes again when its letter is of no use. */
static const char *how_to_read_again(const struct sl_feed_config *feed)
{
    if (is_type(feed, "webhook"))
        return "touch the row in Dataverse, so that another event comes";
    if (is_type(feed, "ingest"))
        return "post the row again";
    return is_type(feed, "dataverse")
               ? "touch the row in Dataverse, or read the source again (sluice refresh FEED)"
               : "read the source again (sluice refresh FEED)";
}

static bool is_old(const struct sl_replay_options *options, const struct sl_letter *letter)
{
    /* A little less than the tombstones live, for clocks that differ. */
    int64_t life_ms = (int64_t)(options->tombstone_ttl_ms - options->tombstone_ttl_ms / 100);
    return letter->read_at_ms <= sl_wall_ms() - life_ms;
}

/* Why the letter's row is not enough, or NULL. */
static const char *not_enough(const struct sl_letter *letter)
{
    const struct sl_dead_code *code = sl_dead_code_find(letter->code);
    if (!letter->versioned && letter->form == SL_ROW_NONE)
        return code ? code->advice : "nothing of the row is kept";
    if (!letter->versioned)
        return "the letter does not tell the row's version";
    if (!letter->read_at_ms)
        return "the letter does not tell when the row was read";
    if (letter->cut)
        return "only a part of the row is kept";
    if (letter->form == SL_ROW_NONE && letter->op == SL_UPSERT)
        return "nothing of the row is kept";
    if (letter->form == SL_ROW_RAW && !letter->header.length)
        return "the letter does not tell the file's header";
    if (letter->form != SL_ROW_RAW && !letter->key.length)
        return "the letter does not tell the row's key";
    return NULL;
}

static bool refuse(const struct sl_replay_options *options, const struct sl_feed_config *feed,
                   const struct sl_entity_config *entity, const struct sl_letter *letter,
                   struct sl_replay_row *ret)
{
    char life[SL_VALUE_BYTES];
    const char *lack = not_enough(letter);
    if (!feed || !entity)
        snprintf(ret->why, sizeof ret->why, "the configuration does not name %s '%.100s'",
                 feed ? "entity" : "feed", feed ? letter->entity : letter->feed);
    else if (lack)
        snprintf(ret->why, sizeof ret->why, "%s: %s", lack, how_to_read_again(feed));
    else if (is_old(options, letter)) {
        sl_duration_format(options->tombstone_ttl_ms, life);
        snprintf(ret->why, sizeof ret->why,
                 "its row was read longer ago than deletions are remembered "
                 "(mongo.tombstone_ttl, %s), so that it might bring a deleted one back: %s",
                 life, how_to_read_again(feed));
    } else if (letter->form == SL_ROW_RAW && !is_type(feed, "dmf"))
        snprintf(ret->why, sizeof ret->why, "feed '%s' reads no files any more", feed->name);
    else
        return false;
    return true;
}

/* The same letter again, should the row fail again. */
static const struct sl_letter_ref *ref_of(const struct sl_letter *letter, struct sl_arena *arena)
{
    struct sl_letter_ref *ref = sl_arena_alloc(arena, sizeof *ref);
    *ref = (struct sl_letter_ref){.run = letter->name.run.at,
                                  .row_number = letter->name.row_number,
                                  .read_at_ms = letter->read_at_ms};
    return ref;
}

static struct sl_dead dead_again(const struct sl_letter *letter, const char *code,
                                 const char *reason, const struct sl_letter_ref *ref,
                                 struct sl_arena *arena)
{
    return (struct sl_dead){
        .code = code,
        .reason = sl_str_of(sl_arena_text(arena, reason, strlen(reason))),
        .id = letter->key,
        .file = letter->file,
        .line = letter->line,
        .row = letter->row,
        .row_is_bson = letter->form != SL_ROW_RAW,
        .header = letter->header,
        .versioned = true,
        .op = letter->op,
        .version = letter->version,
        .changed_at_ms = letter->changed_at_ms,
        .letter = ref,
    };
}

void sl_replay_make_row(const struct sl_replay_options *options, const struct sl_feed_config *feed,
                        const struct sl_entity_config *entity, const struct sl_letter *letter,
                        struct sl_arena *arena, struct sl_replay_row *ret)
{
    struct sl_record *record = &ret->record;
    const char *code = "malformed";
    struct sl_err fault = {0};
    int rc = SL_OK;
    ret->fate = SL_REPLAY_REFUSED;
    if (refuse(options, feed, entity, letter, ret))
        return;
    const struct sl_letter_ref *ref = ref_of(letter, arena);
    *record = (struct sl_record){.op = letter->op,
                                 .id = letter->key,
                                 .doc = letter->row,
                                 .version = letter->version,
                                 .changed_at_ms = letter->changed_at_ms,
                                 .line = letter->line,
                                 .letter = ref};
    if (letter->form == SL_ROW_RAW)
        rc = sl_dmf_letter_type(feed, entity, letter, arena, record, &code, &fault);
    else if (letter->op == SL_UPSERT)
        rc = sl_bson_check(letter->row, &fault);
    if (rc == SL_OK &&
        record->id.length + record->doc.length > options->config->limits.max_row_bytes) {
        code = "too_large";
        rc = sl_err_set(&fault, SL_REJECTED, "the row is larger than limits.max_row");
    }
    if (rc == SL_OK) {
        ret->fate = SL_REPLAY_ROW;
    } else if (rc == SL_REJECTED) {
        ret->fate = SL_REPLAY_AGAIN;
        ret->dead = dead_again(letter, code, fault.message, ref, arena);
    } else {
        snprintf(ret->why, sizeof ret->why, "%s", fault.message);
    }
}
