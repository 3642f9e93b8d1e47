/* Does an environment of Dataverse let sluice in, and may it follow the tables of the feeds? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/doctor.h"
#include "source/dataverse_table.h"
#include "source/webhook_settings.h"

enum { DEPTH_GLOBAL = 3 }; /* of the enumeration PrivilegeDepth, should it come as a number */

struct examining {
    struct sl_doctor *doctor;
    const struct sl_source_config *source;
    struct sl_dataverse_remote remote;
    char *user; /* the application user's id */
};

/* --- the environment --- */

/* WhoAmI tells the user behind the token. */
static int who_am_i(struct examining *examining, struct sl_err *err)
{
    const struct sl_dataverse_get get = {.path = "WhoAmI", .urgency = SL_STEADY};
    struct sl_json_doc *doc = NULL;
    int rc = sl_dataverse_read_json(&examining->remote, &get, &doc, err);
    if (rc != SL_OK)
        return rc;
    const char *user = sl_json_text(sl_json_get(sl_json_root(doc), "UserId"));
    if (user)
        examining->user = sl_strdup(user);
    else
        rc = sl_err_set(err, SL_CLOSED, "WhoAmI: the answer has no UserId");
    sl_json_free(doc);
    return rc;
}

static bool lets_in(struct examining *examining)
{
    struct sl_doctor *doctor = examining->doctor;
    struct sl_err err = {0};
    const char *token;
    char what[SL_DOCTOR_WHAT_BYTES];
    snprintf(what, sizeof what, "source '%s' token", examining->source->name);
    int rc = sl_oauth_token(examining->remote.oauth, &token, &err);
    if (!sl_doctor_works(doctor, rc, &err, what, "can this machine reach auth.authority?"))
        return false;
    sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "issued");

    snprintf(what, sizeof what, "source '%s'", examining->source->name);
    rc = who_am_i(examining, &err);
    if (!sl_doctor_works(doctor, rc, &err, what,
                         "is the source's url right, and can this machine reach it?"))
        return false;
    sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "it answers; the application user is %s",
                  examining->user);
    return true;
}

/* --- a table --- */

/* A page of one row, with tracking: the first thing that a feed does. Its links are not used. */
static int read_a_row(struct examining *examining, const struct sl_dataverse_table *table,
                      struct sl_err *err)
{
    struct sl_json_doc *doc = NULL;
    struct sl_buf path;
    sl_buf_init(&path);
    sl_buf_printf(&path, "%s?$select=%s", table->entity_set, table->id_column);
    const struct sl_dataverse_get get = {
        .path = path.data,
        .prefer =
            table->tracked ? "odata.track-changes,odata.maxpagesize=1" : "odata.maxpagesize=1",
        .urgency = SL_STEADY,
    };
    int rc = sl_dataverse_read_json(&examining->remote, &get, &doc, err);
    sl_json_free(doc);
    sl_buf_done(&path);
    return rc;
}

/* How far the privilege reaches: "Global" is the whole organisation. That the depth comes as such a
 * word is not confirmed by any document that shows an answer; a number is taken too. */
static bool is_global(const struct sl_json *answer, char *ret_depth, size_t size)
{
    const struct sl_json *list = sl_json_get(answer, "RolePrivileges");
    snprintf(ret_depth, size, "none");
    for (const struct sl_json *at = list && list->kind == SL_JSON_LIST ? list->first : NULL; at;
         at = at->next) {
        const struct sl_json *depth = sl_json_get(at, "Depth");
        int64_t number;
        if (!depth || (depth->kind != SL_JSON_TEXT && depth->kind != SL_JSON_NUMBER))
            continue;
        snprintf(ret_depth, size, "%s", depth->text.at);
        if (!strcmp(ret_depth, "Global") || (sl_json_int(depth, &number) && number == DEPTH_GLOBAL))
            return true;
    }
    return false;
}

/* With less than the whole organisation, rows would come and go by who owns them, and what cannot
 * be seen looks like a deletion. */
static bool reads_all(struct examining *examining, const struct sl_dataverse_table *table,
                      const char *what)
{
    struct sl_err err = {0};
    struct sl_json_doc *doc = NULL;
    struct sl_buf path;
    char depth[32];
    if (!table->read_privilege)
        return true;
    sl_buf_init(&path);
    sl_buf_add_text(&path, "systemusers(");
    sl_dataverse_escape(&path, examining->user);
    sl_buf_add_text(&path, ")/Microsoft.Dynamics.CRM.RetrieveUserPrivilegeByPrivilegeName("
                           "PrivilegeName='");
    sl_dataverse_escape(&path, table->read_privilege);
    sl_buf_add_text(&path, "')");
    const struct sl_dataverse_get get = {.path = path.data, .urgency = SL_STEADY};
    int rc = sl_dataverse_read_json(&examining->remote, &get, &doc, &err);
    sl_buf_done(&path);
    if (rc != SL_OK) {
        sl_doctor_say(examining->doctor, SL_DOCTOR_WARN, what,
                      "make sure that a security role gives it",
                      "how far %s reaches is not told: %s", table->read_privilege, err.message);
        return true;
    }
    bool global = is_global(sl_json_root(doc), depth, sizeof depth);
    sl_json_free(doc);
    if (!global)
        sl_doctor_say(examining->doctor, SL_DOCTOR_FAIL, what,
                      "give the application user a security role that reads the table in the whole "
                      "organisation",
                      "privilege %s of the application user reaches less than the organisation "
                      "(%s)",
                      table->read_privilege, depth);
    return global;
}

/* Events alone tell less than the table's own log: what no event told is never known. */
static void warn_of_tracking(struct examining *examining, const char *what)
{
    char advice[160];
    snprintf(advice, sizeof advice,
             "follow it by a feed of source '%s', of which events are the doorbell",
             examining->source->name);
    sl_doctor_say(
        examining->doctor, SL_DOCTOR_WARN, what, advice,
        "its rows are read back as events name them, though its change tracking is on and "
        "would miss none");
}

static void examine_table(struct examining *examining, const char *feed, const char *name,
                          char *const *select, bool followed)
{
    struct sl_doctor *doctor = examining->doctor;
    struct sl_dataverse_table table = {0};
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES];
    snprintf(what, sizeof what, "feed '%s' table '%s'", feed, name);
    int rc = sl_dataverse_table_read(&examining->remote, name, select, SL_STEADY, &table, &err);
    if (rc == SL_OK && followed)
        rc = sl_dataverse_table_check(&table, &err);
    if (rc == SL_OK)
        rc = read_a_row(examining, &table, &err);
    bool readable =
        sl_doctor_works(doctor, rc, &err, what, NULL) && reads_all(examining, &table, what);
    if (readable && table.tracked && !followed)
        warn_of_tracking(examining, what);
    else if (readable)
        sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "it can be read, %u columns, key %s%s",
                      table.columns.count, table.id_column,
                      table.tracked ? ", change tracking is on" : "");
    sl_dataverse_table_done(&table);
}

/* --- a relationship --- */

/* The two tables, of a relationship of either kind. */
static int read_relationship(struct examining *examining, const char *name, char *ret_tables[2],
                             struct sl_err *err)
{
    static const char *const members[][2] = {
        {"Entity1LogicalName", "Entity2LogicalName"},
        {"ReferencedEntity",   "ReferencingEntity" }
    };
    struct sl_json_doc *doc = NULL;
    struct sl_buf path;
    sl_buf_init(&path);
    sl_buf_add_text(&path, "RelationshipDefinitions(SchemaName='");
    sl_dataverse_escape(&path, name);
    sl_buf_add_text(&path, "')");
    const struct sl_dataverse_get get = {.path = path.data, .urgency = SL_STEADY};
    int rc = sl_dataverse_read_json(&examining->remote, &get, &doc, err);
    sl_buf_done(&path);
    if (rc != SL_OK && err->cause == 404)
        return sl_err_set(
            err, SL_CONFIG,
            "the environment has no relationship '%s'; is it the schema name, with its "
            "capitals?",
            name);
    if (rc != SL_OK)
        return rc;
    for (int i = 0; i < 2 && !ret_tables[1]; i++) {
        const char *one = sl_json_text(sl_json_get(sl_json_root(doc), members[i][0]));
        const char *other = sl_json_text(sl_json_get(sl_json_root(doc), members[i][1]));
        if (!one || !other)
            continue;
        ret_tables[0] = sl_strdup(one);
        ret_tables[1] = sl_strdup(other);
    }
    sl_json_free(doc);
    return ret_tables[1] ? SL_OK : sl_err_set(err, SL_CLOSED, "the answer names no tables");
}

/* An association is asked for by its two ends: both tables must be readable. */
static void examine_relationship(struct examining *examining, const char *feed, const char *name)
{
    struct sl_doctor *doctor = examining->doctor;
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES], *tables[2] = {NULL, NULL};
    snprintf(what, sizeof what, "feed '%s' relationship '%s'", feed, name);
    int rc = read_relationship(examining, name, tables, &err);
    bool readable = sl_doctor_works(doctor, rc, &err, what, NULL);
    for (int i = 0; readable && i < 2; i++) {
        struct sl_dataverse_table table = {0};
        rc = sl_dataverse_table_read(&examining->remote, tables[i], NULL, SL_STEADY, &table, &err);
        if (rc == SL_OK)
            rc = read_a_row(examining, &table, &err);
        readable =
            sl_doctor_works(doctor, rc, &err, what, NULL) && reads_all(examining, &table, what);
        sl_dataverse_table_done(&table);
    }
    if (readable)
        sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "the tables '%s' and '%s' can be read",
                      tables[0], tables[1]);
    free(tables[0]);
    free(tables[1]);
}

/* --- which tables --- */

/* Whether the webhook source reads its rows back from this one: the first that it rings. */
static bool reads_back(const struct sl_source_config *webhook,
                       const struct sl_source_config *source)
{
    const struct sl_webhook_source_settings *settings = webhook->settings;
    return !strcmp(settings->doorbell[0], source->name);
}

static void examine_tables(struct examining *examining)
{
    const struct sl_config *config = examining->doctor->config;
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        if (feed->source == examining->source) {
            const struct sl_dataverse_feed_settings *settings = feed->settings;
            examine_table(examining, feed->name, settings->table, settings->select, true);
        } else if (feed->source->type == &sl_webhook_config_type &&
                   reads_back(feed->source, examining->source)) {
            const struct sl_webhook_feed_settings *settings = feed->settings;
            if (settings->table)
                examine_table(examining, feed->name, settings->table, settings->select, false);
            else
                examine_relationship(examining, feed->name, settings->relationship);
        }
    }
}

void sl_doctor_dataverse(struct sl_doctor *doctor, const struct sl_source_config *source)
{
    struct sl_dataverse_source_settings settings =
        *(const struct sl_dataverse_source_settings *)source->settings;
    struct examining examining = {.doctor = doctor, .source = source};
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES];
    if (settings.request_timeout_ms > SL_DOCTOR_REQUEST_MS)
        settings.request_timeout_ms = SL_DOCTOR_REQUEST_MS;
    snprintf(what, sizeof what, "source '%s'", source->name);
    int rc =
        sl_dataverse_remote_init(&examining.remote, doctor->http, source->name, &settings, &err);
    if (!sl_doctor_works(doctor, rc, &err, what, NULL))
        return;
    if (lets_in(&examining))
        examine_tables(&examining);
    free(examining.user);
    sl_dataverse_remote_done(&examining.remote);
}
