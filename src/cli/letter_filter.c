#include "cli/letter_filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/letter_text.h"
#include "config/nearest.h"
#include "config/value.h"
#include "flow/dead_code.h"
#include "format/number.h"

enum { HASH_DIGITS = 16, HEXADECIMAL = 16 };

static int read_time(const char *option, const char *text, int64_t *ret, struct sl_err *err)
{
    uint64_t ago_ms;
    if (!text)
        return SL_OK;
    if (sl_duration_parse(text, &ago_ms))
        *ret = sl_wall_ms() - (int64_t)ago_ms;
    else if (!sl_iso_parse(text, strlen(text), ret))
        return sl_err_set(
            err, SL_CONFIG,
            "%s cannot be \"%s\": it needs a time such as 2026-11-22T03:10:00Z, or how "
            "long ago, such as 2h or 7d",
            option, text);
    return SL_OK;
}

static int read_number(const char *option, const char *text, uint64_t *ret, struct sl_err *err)
{
    int64_t number;
    if (!text)
        return SL_OK;
    if (sl_int64_parse(text, strlen(text), &number) != SL_NUMBER_OK || number < 1)
        return sl_err_set(err, SL_CONFIG, "%s cannot be \"%s\": it needs a number from 1 on",
                          option, text);
    *ret = (uint64_t)number;
    return SL_OK;
}

static int read_code(const char *code, struct sl_err *err)
{
    char hint[64];
    struct sl_nearest nearest;
    if (!code || sl_dead_code_find(code))
        return SL_OK;
    sl_nearest_init(&nearest, code);
    for (const struct sl_dead_code *one = sl_dead_codes; one->code; one++)
        sl_nearest_offer(&nearest, one->code);
    return sl_err_set(err, SL_CONFIG, "there is no code \"%s\"%s", code,
                      sl_nearest_hint(&nearest, hint, sizeof hint));
}

static bool read_hash(const char *id, uint64_t *ret)
{
    size_t prefix = strlen(SL_UNREADABLE_ID);
    char *end;
    if (strncmp(id, SL_UNREADABLE_ID, prefix) != 0 || strlen(id + prefix) != HASH_DIGITS)
        return false;
    *ret = strtoull(id + prefix, &end, HEXADECIMAL);
    return !*end;
}

static int read_id(const char *id, struct sl_arena *arena, struct sl_letter_choice *ret,
                   struct sl_err *err)
{
    if (!id)
        return SL_OK;
    if (read_hash(id, &ret->hash)) {
        ret->letters = false;
        return SL_OK;
    }
    if (!sl_letter_name_parse(id, arena, &ret->name))
        return sl_err_set(err, SL_CONFIG,
                          "\"%.100s\" is no letter's id: paste one as sluice dead list prints it, "
                          "such as vendors-000042/VendorsV3/17",
                          id);
    ret->filter.name = &ret->name;
    ret->messages = false;
    return SL_OK;
}

int sl_letter_choose(const struct sl_options *options, struct sl_arena *arena,
                     struct sl_letter_choice *ret, struct sl_err *err)
{
    const struct sl_letter_options *said = &options->letters;
    const char *id = options->word ? options->word : said->id;
    *ret = (struct sl_letter_choice){
        .filter = {.code = said->code,
                   .feed = said->feed,
                   .entity = said->entity,
                   .run = options->run},
        .letters = !said->code || strcmp(said->code, SL_UNREADABLE_CODE) != 0,
        .messages = !said->code || strcmp(said->code, SL_UNREADABLE_CODE) == 0,
        .filtered = said->code || said->feed || said->entity || options->run || said->since ||
                    said->until || id,
    };
    int rc = read_code(said->code, err);
    if (rc == SL_OK)
        rc = read_time("--since", said->since, &ret->filter.since_ms, err);
    if (rc == SL_OK)
        rc = read_time("--until", said->until, &ret->filter.until_ms, err);
    if (rc == SL_OK)
        rc = read_number("--limit", said->limit, &ret->limit, err);
    if (rc == SL_OK)
        rc = read_number("--rate", said->rate, &ret->rate, err);
    if (rc == SL_OK && said->wait && !sl_duration_parse(said->wait, &ret->wait_ms))
        rc = sl_err_set(err, SL_CONFIG,
                        "--wait cannot be \"%s\": it needs a time such as 30s or 5m", said->wait);
    return rc == SL_OK ? read_id(id, arena, ret, err) : rc;
}

static bool is_or_any(const char *wanted, const char *text)
{
    return !wanted || !strcmp(wanted, text);
}

bool sl_letter_chosen(const struct sl_letter_choice *choice, const struct sl_unreadable *message)
{
    const struct sl_letter_filter *filter = &choice->filter;
    int64_t at_ms = message->published_at_ms;
    if (choice->hash && choice->hash != message->hash)
        return false;
    if ((filter->since_ms && at_ms < filter->since_ms) ||
        (filter->until_ms && (!at_ms || at_ms >= filter->until_ms)))
        return false;
    return is_or_any(filter->feed, message->feed) && is_or_any(filter->entity, message->entity) &&
           is_or_any(filter->run, message->batch ? message->batch->origin.run : "");
}
