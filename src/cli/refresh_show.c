#include "cli/refresh_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataverse/settings.h"
#include "flow/overtaken.h"
#include "loop/fiber.h"
#include "source/sweep.h"

enum { IMPATIENT_MS = 10 * 1000 };

/* Before anything is deleted it is counted again: an older row may still be on its way into
 * MongoDB. */
static void add_wait(const struct sl_refresh_show *show, struct sl_buf *text)
{
    sl_buf_printf(text, "; what it did not bring is counted again after %" PRIu64 " s",
                  (sl_overtaken_wait_ms(show->state->write_ms) + 999) / 1000);
}

/* Of an export the run's state is worth telling: it may take hours. */
static void add_run(const struct sl_refresh_show *show, const struct sl_refresh *refresh,
                    struct sl_buf *text)
{
    struct sl_err err;
    struct sl_run *run = SL_NEW(struct sl_run);
    int rc = show->state->type->run_newest(show->state, refresh->feed, run, &err);
    bool concerns = rc == SL_OK && run->execution_id[0] &&
                    (refresh->state == SL_REFRESH_ASKED ? run->state < SL_RUN_DONE
                                                        : !strcmp(run->id, refresh->read));
    if (concerns)
        sl_buf_printf(text, "%s%s is %s",
                      refresh->state == SL_REFRESH_ASKED ? ", until now " : ": ", run->id,
                      sl_run_state_name(run->state));
    else if (refresh->state != SL_REFRESH_ASKED)
        sl_buf_printf(text, ": %s", refresh->read);
    /* An export is counted while it is still said to be read, a table when it is swept. */
    bool table = show->feed->source->type == &sl_dataverse_config_type;
    bool read = table
                    ? refresh->state == SL_REFRESH_SWEEPING
                    : concerns && refresh->state == SL_REFRESH_READING && run->state == SL_RUN_DONE;
    if (read && !refresh->dry_run)
        add_wait(show, text);
    free(run);
}

void sl_refresh_show_progress(struct sl_refresh_show *show, const struct sl_refresh *refresh)
{
    struct sl_buf text;
    if (!show->since_ms)
        show->since_ms = sl_loop_now_ms();
    show->troubled = false;
    sl_buf_init(&text);
    sl_buf_add_text(&text, sl_refresh_state_name(refresh->state));
    if (sl_refresh_is_open(refresh))
        add_run(show, refresh, &text);
    if (strcmp(text.data, show->said) != 0 && sl_refresh_is_open(refresh)) {
        fprintf(show->talk, "%s: %s\n", refresh->feed, text.data);
        snprintf(show->said, sizeof show->said, "%s", text.data);
    }
    if (refresh->state == SL_REFRESH_ASKED && !show->impatient &&
        sl_loop_now_ms() - show->since_ms >= IMPATIENT_MS) {
        fprintf(show->talk,
                "%s: nobody has taken it up so far: is a sluice with role all or ingest running, "
                "and not in the middle of an export or a full read?\n",
                refresh->feed);
        show->impatient = true;
    }
    fflush(show->talk);
    sl_buf_done(&text);
}

void sl_refresh_show_trouble(struct sl_refresh_show *show, const struct sl_err *err)
{
    if (!show->troubled)
        fprintf(stderr, "sluice: %s; trying again\n", err->message);
    show->troubled = true;
}

/* --- the end --- */

static int print_id(void *ctx, struct sl_str id, struct sl_err *err)
{
    const struct sl_refresh_part *part = ctx;
    (void)err;
    printf("%s\t" SL_STR_FORMAT "\n", part->collection, SL_STR_ARGS(id));
    return SL_OK;
}

static int list_unseen(const struct sl_refresh_show *show, const struct sl_refresh *refresh,
                       struct sl_err *err)
{
    const struct sl_sweep sweep = {.state = show->state, .feed = show->feed, .read = refresh->read};
    int rc = SL_OK;
    for (unsigned i = 0; rc == SL_OK && i < refresh->part_count; i++) {
        struct sl_refresh_part part = refresh->parts[i];
        if (part.unseen)
            rc = sl_sweep_walk(&sweep, &part, print_id, &part, err);
    }
    fflush(stdout);
    return rc;
}

int sl_refresh_show_end(struct sl_refresh_show *show, const struct sl_refresh *refresh,
                        struct sl_err *err)
{
    uint64_t unseen = 0, live = 0;
    int rc = SL_OK;
    for (unsigned i = 0; i < refresh->part_count; i++) {
        unseen += refresh->parts[i].unseen;
        live += refresh->parts[i].live;
    }
    bool tried = refresh->dry_run && refresh->state == SL_REFRESH_DONE;
    if (tried)
        rc = list_unseen(show, refresh, err);
    fprintf(show->talk, "%s: %s", refresh->feed, sl_refresh_state_name(refresh->state));
    if (refresh->state == SL_REFRESH_DONE)
        fprintf(show->talk, ": %s brought all but %" PRIu64 " of %" PRIu64 " documents; %s",
                refresh->read, unseen, live,
                tried    ? "nothing was deleted"
                : unseen ? "those were deleted"
                         : "none was deleted");
    else
        fprintf(show->talk, ": %s", refresh->note);
    fputc('\n', show->talk);
    fflush(show->talk);
    return rc;
}
