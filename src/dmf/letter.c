#include "dmf/letter.h"

#include "dmf/rows.h"
#include "dmf/settings.h"

enum { ROW_BYTES_MAX = 256 * 1024 }; /* a letter's row and header are smaller */

static enum sl_csv_result feed_line(struct sl_csv *csv, struct sl_str line, struct sl_csv_row *ret)
{
    enum sl_csv_result result = SL_CSV_MORE;
    while (line.length && result == SL_CSV_MORE) {
        size_t room;
        char *space = sl_csv_space(csv, &room);
        size_t part = line.length < room ? line.length : room;
        memcpy(space, line.at, part);
        sl_csv_filled(csv, part);
        line = (struct sl_str){line.at + part, line.length - part};
        result = sl_csv_next(csv, ret);
    }
    return line.length ? SL_CSV_OVERSIZE : result;
}

/* The line with an end, so that the parser need not wait for one. */
static struct sl_str ended(struct sl_arena *arena, struct sl_str line)
{
    char *text = sl_arena_alloc(arena, line.length + 1);
    memcpy(text, line.at, line.length);
    text[line.length] = '\n';
    return (struct sl_str){text, line.length + 1};
}

static int no_row(const char **ret_code, struct sl_err *why)
{
    *ret_code = "wrong_columns";
    return sl_err_set(why, SL_REJECTED, "by the feed's delimiter it is not one row");
}

static int type_row(struct sl_csv *csv, struct sl_rows *rows, const struct sl_letter *letter,
                    struct sl_arena *arena, struct sl_record *record, const char **ret_code,
                    struct sl_err *why)
{
    struct sl_csv_row row, more;
    if (feed_line(csv, ended(arena, letter->header), &row) != SL_CSV_ROW || row.tail)
        return sl_err_set(why, SL_CONFIG, "its header cannot be read by the feed's delimiter");
    int rc = sl_rows_header(rows, &row, why);
    if (rc != SL_OK)
        return rc;
    if (sl_csv_next(csv, &more) != SL_CSV_MORE ||
        feed_line(csv, ended(arena, letter->row), &row) != SL_CSV_ROW)
        return no_row(ret_code, why);
    rc = sl_rows_type(rows, arena, &row, record, ret_code, why);
    sl_csv_finish(csv);
    if (rc == SL_OK && sl_csv_next(csv, &more) != SL_CSV_END)
        return no_row(ret_code, why);
    return rc;
}

int sl_dmf_letter_type(const struct sl_feed_config *feed, const struct sl_entity_config *entity,
                       const struct sl_letter *letter, struct sl_arena *arena,
                       struct sl_record *record, const char **ret_code, struct sl_err *why)
{
    struct sl_csv *csv = sl_csv_new(sl_dmf_delimiter(feed->settings), ROW_BYTES_MAX);
    struct sl_rows *rows = sl_rows_new(entity, letter->file, 0);
    int rc = type_row(csv, rows, letter, arena, record, ret_code, why);
    sl_rows_free(rows);
    sl_csv_free(csv);
    return rc;
}
