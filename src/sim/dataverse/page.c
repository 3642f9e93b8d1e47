/* {set}: a whole table page by page, and what has changed since a delta token. The rows of a page
 * are chosen with the lock held and written without it.
 * Source: "Use change tracking to synchronize data with external systems", "Page results". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/clock.h"
#include "sim/dataverse/link.h"

#define PAGE_MOST 5000

struct item {
    struct dv_image image;
    bool deletion;
};

struct page {
    struct item *items;
    size_t count;
    size_t most;
    struct dv_cursor cursor; /* where this page began, then where the next one begins */
    bool more;
    bool both_links;
    bool deletions_first;
    bool report_both;
    enum dv_spoil spoil;
    uint64_t huge_bytes;
    int64_t total; /* for $count=true; -1: not asked for */
    struct dv_shape shape;
};

static bool is_full(const struct page *page)
{
    return page->count == page->most;
}

static void add_item(struct page *page, struct dv_image image, bool deletion)
{
    page->items[page->count++] = (struct item){image, deletion};
}

static bool shows(const struct dv *dv, const struct dv_table *table, uint32_t index)
{
    return !table->rows[index].dead && dv_sees(dv, index);
}

static size_t count_rows(const struct dv *dv, const struct dv_table *table)
{
    size_t count = 0;
    for (uint32_t i = 0; i < table->count; i++)
        count += shows(dv, table, i);
    return count;
}

static void choose_rows(struct dv_call *call, const struct dv_table *table, struct page *page)
{
    struct dv_cursor *cursor = &page->cursor;
    for (; cursor->at < cursor->end && !is_full(page); cursor->at++)
        if (shows(call->dv, table, cursor->at))
            add_item(page, dv_look(call->dv, table, cursor->at), false);
    while (cursor->at < cursor->end && !shows(call->dv, table, cursor->at))
        cursor->at++;
    page->more = cursor->at < cursor->end;
}

/* What a log entry means to a reader who knows nothing above cursor->since: the row as it is, its
 * deletion, or nothing, because a later entry says more. */
static bool entry_counts(const struct dv_table *table, const struct page *page, size_t place,
                         bool deletions)
{
    const struct dv_log_entry *entry = &table->log[place];
    const struct dv_row *row = &table->rows[entry->index];
    if (!deletions)
        return !row->dead && row->version == entry->version;
    if (entry->op != DV_DELETE || row->deletion != place + 1)
        return false;
    /* Deleted and created again: the row lives, and its deletion may be told all the same. */
    return row->dead || page->report_both;
}

/* The log is gone through twice: for new and updated rows, and for deletions. */
static void choose_changes(struct dv_call *call, const struct dv_table *table, struct page *page)
{
    struct dv_cursor *cursor = &page->cursor;
    size_t begin = dv_table_log_after(table, cursor->since);
    while (cursor->phase < 2) {
        bool deletions = (cursor->phase == 1) != page->deletions_first;
        if (cursor->at < begin)
            cursor->at = (uint32_t)begin;
        for (; cursor->at < cursor->end; cursor->at++) {
            if (!entry_counts(table, page, cursor->at, deletions) ||
                !dv_sees(call->dv, table->log[cursor->at].index))
                continue;
            if (is_full(page)) {
                page->more = true;
                return;
            }
            add_item(page, dv_look(call->dv, table, table->log[cursor->at].index), deletions);
        }
        cursor->phase++;
        cursor->at = 0;
    }
}

/* Query options that tracking does not go with. True when the answer is made. */
static bool refuse_options(struct dv_call *call, bool tracked)
{
    static const char *const options[] = {"$filter", "$orderby", "$expand", "$top"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (!sim_http_argument(call->request, options[i]))
            continue;
        if (tracked) {
            dv_fail(call, 400, "0x80060888",
                    "The \"%s\" query parameter isn't supported when Change Tracking is enabled.",
                    options[i]);
            return true;
        }
        if (i != 3) {
            dv_fail(call, 400, "0x80060888", "sluice-sim does not know the query option \"%s\".",
                    options[i]);
            return true;
        }
    }
    return false;
}

/* Where the page begins, from the link or from nothing. False when the answer is made. */
static bool find_start(struct dv_call *call, const struct dv_table *table, struct page *page)
{
    struct dv *dv = call->dv;
    struct dv_cursor *cursor = &page->cursor;
    int64_t version = *dv_counter(dv, table);
    const char *skip = sim_http_argument(call->request, "$skiptoken");
    const char *token = sim_http_argument(call->request, "$deltatoken");
    int64_t given_ms = sim_clock_ms();
    *cursor = (struct dv_cursor){
        .tracked = call->track, .until = version, .end = (uint32_t)table->count, .page = 1};
    if (skip) {
        dv->counters.next_links++;
        if (!dv_link_read_skip(table, skip, cursor)) {
            dv_fail(call, 400, "0x80040203", "Malformed XML in the Paging Cookie");
            return false;
        }
    } else if (token) {
        dv->counters.delta_links++;
        cursor->delta = cursor->tracked = true;
        cursor->end = (uint32_t)table->log_count;
        if (!dv_link_read_delta(token, &cursor->since, &given_ms)) {
            dv_fail(call, 400, "0x80060888", "The delta token is not valid.");
            return false;
        }
    }
    /* A link of an earlier life of the simulator may name more than there is. */
    size_t end = cursor->delta ? table->log_count : table->count;
    if (cursor->end > end)
        cursor->end = (uint32_t)end;
    int64_t life_s = dv_switch(dv, SW_DV_TOKEN_SECONDS);
    bool old = life_s > 0 && sim_clock_ms() - given_ms > life_s * 1000;
    if (cursor->delta &&
        (old || cursor->since < table->expired_before || cursor->since > version)) {
        dv->counters.expired++;
        dv_fail(call, (unsigned)dv_switch(dv, SW_DV_EXPIRED_STATUS),
                dv_switch(dv, SW_DV_EXPIRED_CODELESS) ? "" : "0x80044352",
                "Version stamp associated with the client has expired. Please perform a full "
                "sync.");
        return false;
    }
    if (cursor->tracked && !table->tracking) {
        dv_fail(call, 400, "0x80044351", "Change tracking is not enabled for entity '%s'.",
                table->schema->name);
        return false;
    }
    return true;
}

static void read_switches(struct dv_call *call, struct page *page)
{
    struct dv *dv = call->dv;
    page->both_links = dv_switch(dv, SW_DV_BOTH_LINKS);
    page->deletions_first = dv_switch(dv, SW_DV_DELETIONS_FIRST);
    page->report_both = dv_switch(dv, SW_DV_REPORT_BOTH);
    page->most = PAGE_MOST;
    if (call->page_size > 0 && call->page_size < PAGE_MOST)
        page->most = (size_t)call->page_size;
    if (page->cursor.delta && !dv_switch(dv, SW_DV_DELTA_PAGED))
        page->most = (size_t)page->cursor.end * 2 + 1;
    const char *top = sim_http_argument(call->request, "$top");
    if (top && strtoull(top, NULL, 10) < page->most)
        page->most = (size_t)strtoull(top, NULL, 10);
    page->huge_bytes = (uint64_t)dv_switch(dv, SW_DV_HUGE_TEXT_BYTES);
    if (!page->cursor.delta && page->cursor.page && dv_switch(dv, SW_DV_PAGES_COUNTED))
        page->cursor.at = (uint32_t)((page->cursor.page - 1) * page->most);
    page->items = sim_alloc((page->most + 1) * sizeof(*page->items));
}

static void choose_spoil(struct dv_call *call, struct page *page)
{
    struct sim_switch_view view = sim_switch_view(call->sim, NULL);
    size_t rows = 0;
    for (size_t i = 0; i < page->count; i++)
        rows += !page->items[i].deletion;
    if (rows == 0)
        return;
    if (sim_switch_take(view, SW_DV_WRONG_TYPE_NEXT))
        page->spoil = DV_WRONG_TYPE;
    else if (sim_switch_take(view, SW_DV_NO_ID_NEXT))
        page->spoil = DV_NO_ID;
    else if (sim_switch_take(view, SW_DV_HUGE_TEXT_NEXT))
        page->spoil = DV_HUGE_TEXT;
}

static void add_context(const struct dv_call *call, const struct dv_table *table,
                        const struct page *page, struct sim_text *out)
{
    const char *select = sim_http_argument(call->request, "$select");
    sim_text_printf(out, "{\"@odata.context\":\"%s$metadata#%s", call->base, table->schema->set);
    if (select && *select)
        sim_text_printf(out, "(%s)", select);
    sim_text_puts(out, page->cursor.delta ? "/$delta\"" : "\"");
}

static void add_items(const struct dv_call *call, const struct dv_table *table, struct page *page,
                      struct sim_text *out)
{
    char guid[DV_GUID_SIZE];
    sim_text_puts(out, ",\"value\":[");
    for (size_t i = 0; i < page->count; i++) {
        const struct item *item = &page->items[i];
        sim_text_puts(out, i ? ",\n" : "");
        if (item->deletion) {
            dv_guid_write(item->image.seed, item->image.schema, item->image.index, guid);
            sim_text_printf(out,
                            "{\"@odata.context\":\"%s$metadata#%s/$deletedEntity\",\"id\":\"%s\","
                            "\"reason\":\"deleted\"}",
                            call->base, table->schema->set, guid);
        } else {
            dv_row_answer(&item->image, &page->shape, page->spoil, page->huge_bytes, out);
            page->spoil = DV_WHOLE;
        }
    }
    sim_text_char(out, ']');
}

/* Chooses the page's rows and writes its links. False when the answer is an error. */
static bool prepare(struct dv_call *call, struct dv_table *table, struct page *page,
                    struct sim_text *delta_link, struct sim_text *next_link)
{
    if (!find_start(call, table, page) || refuse_options(call, page->cursor.tracked))
        return false;
    if ((page->cursor.tracked && dv_refuse_reader(call, table)) ||
        !dv_read_shape(call, table, &page->shape))
        return false;
    read_switches(call, page);
    if (page->cursor.delta)
        choose_changes(call, table, page);
    else
        choose_rows(call, table, page);
    choose_spoil(call, page);
    bool top = sim_http_argument(call->request, "$top") != NULL;
    const char *count = sim_http_argument(call->request, "$count");
    page->total = count && strcmp(count, "true") == 0 && !page->cursor.delta
                      ? (int64_t)count_rows(call->dv, table)
                      : -1;
    if (page->cursor.tracked && (!page->more || page->both_links))
        dv_link_delta(call, table, page->cursor.until, delta_link);
    if (page->more && !top) {
        page->cursor.page++;
        dv_link_next(call, table, &page->cursor, next_link);
    }
    for (size_t i = 0; i < page->count; i++) {
        call->dv->counters.rows_read += !page->items[i].deletion;
        call->dv->counters.deletions_read += page->items[i].deletion;
    }
    return true;
}

void dv_answer_set(struct dv_call *call, struct dv_table *table)
{
    struct page page = {0};
    struct sim_text delta_link = {0};
    struct sim_text next_link = {0};
    struct sim_text *out = &call->out;
    sim_lock(call->sim);
    bool ok = prepare(call, table, &page, &delta_link, &next_link);
    sim_unlock(call->sim);
    call->request->action = page.cursor.delta ? "dv_delta" : "dv_page";
    if (ok) {
        call->track = call->track && page.cursor.tracked;
        add_context(call, table, &page, out);
        if (page.total >= 0)
            sim_text_printf(out, ",\"@odata.count\":%" PRId64, page.total);
        if (delta_link.len)
            sim_text_printf(out, ",\"@odata.deltaLink\":%s", delta_link.data);
        add_items(call, table, &page, out);
        if (next_link.len)
            sim_text_printf(out, ",\"@odata.nextLink\":%s", next_link.data);
        sim_text_char(out, '}');
    }
    sim_text_done(&delta_link);
    sim_text_done(&next_link);
    free(page.items);
}

/* {set}/$count, with $deltatoken the number of changes. The answer begins with a byte order mark.
 */
void dv_answer_count(struct dv_call *call, struct dv_table *table)
{
    struct page page = {0};
    call->request->action = "dv_count";
    sim_lock(call->sim);
    bool ok = find_start(call, table, &page);
    size_t count = ok ? count_rows(call->dv, table) : 0;
    if (ok && page.cursor.delta) {
        count = 0;
        for (size_t i = dv_table_log_after(table, page.cursor.since); i < table->log_count; i++)
            count += dv_sees(call->dv, table->log[i].index) &&
                     (entry_counts(table, &page, i, false) || entry_counts(table, &page, i, true));
    }
    sim_unlock(call->sim);
    if (ok) {
        call->type = "text/plain";
        sim_text_printf(&call->out, "\xef\xbb\xbf%zu", count);
    }
}
