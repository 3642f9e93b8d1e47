#include "ops/ready.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct check {
    char *name;
    sl_ready_check ask;
    void *ctx;
    struct check *next;
};

static struct check *checks;

void sl_ready_register(const char *name, sl_ready_check check, void *ctx)
{
    struct check **end = &checks;
    while (*end)
        end = &(*end)->next;
    *end = SL_NEW(struct check);
    **end = (struct check){sl_strdup(name), check, ctx, NULL};
}

void sl_ready_clear(void)
{
    while (checks) {
        struct check *check = checks;
        checks = check->next;
        free(check->name);
        free(check);
    }
}

static void add_trouble(struct sl_buf *buf, const char *what, const char *message)
{
    sl_buf_add_text(buf, "{\"what\":");
    sl_buf_add_json_text(buf, what);
    sl_buf_add_text(buf, ",\"message\":");
    sl_buf_add_json_text(buf, message);
    sl_buf_add_char(buf, '}');
}

bool sl_ready_ask(struct sl_buf *buf)
{
    bool ready = true;
    if (buf)
        sl_buf_add_char(buf, '[');
    for (struct check *check = checks; check; check = check->next) {
        const char *trouble = check->ask(check->ctx);
        if (!trouble)
            continue;
        if (buf && !ready)
            sl_buf_add_char(buf, ',');
        ready = false;
        if (buf)
            add_trouble(buf, check->name, trouble);
    }
    if (buf)
        sl_buf_add_char(buf, ']');
    return ready;
}

void sl_ready_metrics(struct sl_buf *buf)
{
    sl_buf_add_text(buf, "# HELP sluice_ready Whether a part is in order, as /readyz tells.\n"
                         "# TYPE sluice_ready gauge\n");
    for (struct check *check = checks; check; check = check->next)
        sl_buf_printf(buf, "sluice_ready{part=\"%s\"} %d\n", check->name, !check->ask(check->ctx));
}
