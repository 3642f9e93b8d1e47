/* The links of pages and deltas. */
#include "sim/dataverse/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/clock.h"
#include "sim/random.h"

static void add_encoded(struct sim_text *out, const char *text)
{
    for (; *text; text++) {
        bool plain = (*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= 'a' && *text <= 'z') || strchr("-._~", *text);
        if (plain)
            sim_text_char(out, *text);
        else
            sim_text_printf(out, "%%%02x", (unsigned)(unsigned char)*text);
    }
}

/* The part that both links have: the set and the $select of the request. */
static void add_base(const struct dv_call *call, const struct dv_table *table, bool may_lead_away,
                     struct sim_text *out)
{
    const char *select = sim_http_argument(call->request, "$select");
    const char *host = sim_switch_text(sim_switch_view(call->sim, NULL), SW_DV_NEXT_LINK_HOST);
    if (may_lead_away && *host)
        sim_text_printf(out, "\"http://%s" DV_API "%s?", host, table->schema->set);
    else
        sim_text_printf(out, "\"%s%s?", call->base, table->schema->set);
    if (select && *select)
        sim_text_printf(out, "$select=%s&", select);
}

/* So that a cookie which somebody has edited, or carried to another table, is found out. */
static uint64_t check_of(const struct dv_table *table, const struct dv_cursor *cursor)
{
    uint64_t hash = sim_mix(table->seed ^ table->schema->salt);
    const int64_t parts[] = {cursor->delta, cursor->tracked, cursor->since, cursor->until,
                             cursor->end,   cursor->at,      cursor->phase, cursor->page};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        hash = sim_mix(hash ^ (uint64_t)parts[i]);
    return hash;
}

void dv_link_next(const struct dv_call *call, const struct dv_table *table,
                  const struct dv_cursor *cursor, struct sim_text *out)
{
    char cookie[320];
    snprintf(cookie, sizeof(cookie),
             "<cookie pagenumber=\"%" PRIu32 "\" pagingcookie=\"%d-%d-%" PRIx64 "-%" PRIx64
             "-%" PRIx32 "-%" PRIx32 "-%" PRIx32 "-%" PRIx64 "\" istracking=\"%s\" />",
             cursor->page, cursor->delta, cursor->tracked, (uint64_t)cursor->since,
             (uint64_t)cursor->until, cursor->end, cursor->at, cursor->phase,
             check_of(table, cursor), cursor->tracked ? "True" : "False");
    add_base(call, table, true, out);
    sim_text_puts(out, "$skiptoken=");
    add_encoded(out, cookie);
    sim_text_char(out, '"');
}

bool dv_link_read_skip(const struct dv_table *table, const char *text, struct dv_cursor *ret_cursor)
{
    static const char lead[] = "<cookie pagenumber=\"";
    static const char middle[] = "\" pagingcookie=\"";
    uint64_t parts[8];
    char *at;
    if (strncmp(text, lead, strlen(lead)) != 0)
        return false;
    uint32_t page = (uint32_t)strtoul(text + strlen(lead), &at, 10);
    if (strncmp(at, middle, strlen(middle)) != 0)
        return false;
    at += strlen(middle);
    for (int i = 0; i < 8; i++) {
        parts[i] = strtoull(at, &at, 16);
        if (*at++ != (i < 7 ? '-' : '"'))
            return false;
    }
    struct dv_cursor cursor = {
        .delta = parts[0] == 1,
        .tracked = parts[1] == 1,
        .since = (int64_t)parts[2],
        .until = (int64_t)parts[3],
        .end = (uint32_t)parts[4],
        .at = (uint32_t)parts[5],
        .phase = (uint32_t)parts[6],
        .page = page,
    };
    uint64_t check = parts[7];
    if (check != check_of(table, &cursor))
        return false;
    *ret_cursor = cursor;
    return true;
}

void dv_link_delta(const struct dv_call *call, const struct dv_table *table, int64_t version,
                   struct sim_text *out)
{
    char token[80];
    char when[40];
    struct tm tm;
    time_t now_s = (time_t)(sim_clock_ms() / 1000);
    gmtime_r(&now_s, &tm);
    strftime(when, sizeof(when), "%m/%d/%Y %H:%M:%S", &tm);
    snprintf(token, sizeof(token), "%" PRId64 "!%s", version, when);
    add_base(call, table, false, out);
    sim_text_puts(out, "$deltatoken=");
    add_encoded(out, token);
    sim_text_char(out, '"');
}

bool dv_link_read_delta(const char *text, int64_t *ret_version, int64_t *ret_given_ms)
{
    char *end;
    struct tm tm = {0};
    long long version = strtoll(text, &end, 10);
    if (end == text || *end != '!')
        return false;
    const char *rest = strptime(end + 1, "%m/%d/%Y %H:%M:%S", &tm);
    if (!rest || *rest)
        return false;
    *ret_version = version;
    *ret_given_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}
