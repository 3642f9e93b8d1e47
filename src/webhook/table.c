/* Metadata of the tables whose rows are read back, and whether the application user sees all of
 * them: read once, again when a row has a column that was not known or of another type, or the
 * service refuses to give one, and now and then. An entry that is replaced lives on until its last
 * reader is done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "webhook/webhook_own.h"

enum {
    AGAIN_MS = 60 * 1000,
    WELL_AGAIN_MS = 3600 * 1000, /* rights change */
    STRANGERS_MAX = 1000,        /* remembered */
};

void sl_hook_table_put(struct sl_hook_table *table)
{
    if (!table || --table->users)
        return;
    sl_dataverse_table_done(&table->it);
    sl_idset_done(&table->strangers);
    free(table);
}

static struct sl_hook_table **find(struct sl_webhook *webhook, const char *name,
                                   char *const *select)
{
    struct sl_hook_table **at = &webhook->tables;
    while (*at && ((*at)->select != select || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

bool sl_hook_table_lacks(struct sl_hook_table *table, struct sl_str column)
{
    if (table->strangers.count < STRANGERS_MAX && sl_idset_add(&table->strangers, column)) {
        char name[SL_NAME_MAX];
        snprintf(name, sizeof name, SL_STR_FORMAT, SL_STR_ARGS(column));
        sl_log(SL_INFO, "a column is new, the table's description is read again",
               SL_T("table", table->name), SL_T("column", name));
        table->doubted = true;
        table->again_ms = sl_loop_now_ms();
    } else if (table->again_ms > table->read_ms + AGAIN_MS) {
        table->again_ms = table->read_ms + AGAIN_MS;
    }
    return table->doubted; /* by another row, perhaps */
}

bool sl_hook_table_doubt(struct sl_hook_table *table)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (!table->doubted && table->doubted_ms && now_ms - table->doubted_ms < AGAIN_MS)
        return false;
    table->doubted = true; /* perhaps it is already: others asked by it, too */
    table->doubted_ms = table->again_ms = now_ms;
    return true;
}

static bool is_good(const struct sl_hook_table *table)
{
    return table && sl_loop_now_ms() < table->again_ms;
}

/* Asks how far the right to read it reaches. What is not told stays as it was, and a failure that
 * may pass holds up no row: it is asked again with the description. */
static int learn_sight(struct sl_webhook *webhook, struct sl_hook_table *table,
                       const struct sl_hook_table *old, struct sl_err *err)
{
    const char *privilege = table->it.read_privilege;
    struct sl_dataverse_reach reach = {0};
    int rc = SL_OK;
    if (privilege)
        rc = sl_dataverse_reach_ask(sl_dataverse_remote(sl_hook_reader(webhook)), privilege, &reach,
                                    err);
    if (rc == SL_CANCELED)
        return rc;
    if (reach.reach != SL_REACH_UNTOLD)
        sl_dataverse_reach_tell(privilege, &reach, table->sight);
    else if (old)
        memcpy(table->sight, old->sight, sizeof table->sight);
    bool failed = rc != SL_OK && !sl_dataverse_reach_is_refused(err);
    table->again_ms = sl_deadline_in(table->sight[0] || failed ? AGAIN_MS : WELL_AGAIN_MS);
    return SL_OK;
}

static int learn(struct sl_webhook *webhook, const char *name, char *const *select,
                 struct sl_err *err)
{
    struct sl_dataverse_table it = {0};
    const struct sl_hook_table *before = *find(webhook, name, select);
    size_t strangers = before ? before->strangers.count : 0;
    uint64_t doubted_ms = before ? before->doubted_ms : 0;
    int rc = sl_dataverse_table_read(sl_dataverse_remote(sl_hook_reader(webhook)), name, select,
                                     SL_STEADY, &it, err);
    if (rc != SL_OK)
        return rc;
    struct sl_hook_table *table = SL_NEW(struct sl_hook_table);
    struct sl_hook_table **at = find(webhook, name, select), *old = *at; /* only who learns adds */
    snprintf(table->name, sizeof table->name, "%s", name);
    table->select = select;
    table->users = 1;
    table->it = it;
    rc = learn_sight(webhook, table, old, err);
    if (rc != SL_OK) {
        sl_hook_table_put(table);
        return rc;
    }
    table->read_ms = sl_loop_now_ms();
    if (old) {
        table->doubted_ms = old->doubted_ms;
        table->next = old->next;
        table->strangers = old->strangers;
        old->strangers = (struct sl_idset){0};
        /* The answer may be older than a column that came, or changed, meanwhile. */
        if (table->strangers.count > strangers || table->doubted_ms != doubted_ms) {
            table->doubted = true;
            table->again_ms = table->read_ms;
        }
    }
    *at = table;
    sl_hook_table_put(old);
    return SL_OK;
}

/* It was not learnt anew. One that nobody doubts serves for another while; and a refusal says
 * nothing of the rows that wait. */
static int make_do(struct sl_hook_table *old, int rc, struct sl_err *err)
{
    if (rc == SL_CONFIG || rc == SL_CANCELED)
        return rc;
    if (!old || old->doubted)
        return err->code = rc == SL_REJECTED || rc == SL_NOTFOUND ? SL_CLOSED : (enum sl_code)rc;
    old->again_ms = sl_deadline_in(AGAIN_MS);
    return SL_OK;
}

int sl_hook_table_get(struct sl_webhook *webhook, const char *name, char *const *select,
                      struct sl_hook_table **ret, struct sl_err *err)
{
    struct sl_hook_table *table;
    while (!is_good(table = *find(webhook, name, select))) {
        int rc = SL_OK;
        if (webhook->learning) {
            rc = sl_wait(&webhook->learned, SL_FOREVER);
            if (rc != SL_OK)
                return sl_err_set(err, rc, "cancelled");
            continue;
        }
        webhook->learning = true;
        rc = learn(webhook, name, select, err);
        if (rc != SL_OK)
            rc = make_do(*find(webhook, name, select), rc, err);
        webhook->learning = false;
        sl_wake_all(&webhook->learned);
        if (rc != SL_OK)
            return rc;
    }
    table->users++;
    *ret = table;
    return SL_OK;
}

void sl_hook_tables_done(struct sl_webhook *webhook)
{
    while (webhook->tables) {
        struct sl_hook_table *table = webhook->tables;
        webhook->tables = table->next;
        sl_hook_table_put(table);
    }
}
