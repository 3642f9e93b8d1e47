/* Does an environment of Dataverse let sluice in, and may it follow the tables of the feeds? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/doctor.h"
#include "dataverse/reach.h"
#include "dataverse/table.h"
#include "webhook/settings.h"

struct examining {
    struct sl_doctor *doctor;
    const struct sl_source_config *source;
    struct sl_dataverse_remote remote;
};

/* --- the environment --- */

/* Feeds that are followed refuse to go on with another one's rows. */
static bool is_the_same(struct examining *examining, const char *what)
{
    const char *source = examining->source->name;
    char before[SL_ORGANISATION_BYTES], advice[SL_ERR_TEXT_BYTES];
    struct sl_err err = {0};
    int rc = sl_doctor_organisation(examining->doctor, source, before, &err);
    if (!sl_doctor_works(examining->doctor, rc, &err, what, NULL))
        return false;
    if (!sl_dataverse_is_another(&examining->remote, before))
        return true;
    snprintf(advice, sizeof advice,
             "correct its url; if that is meant: sluice refresh FEED --reset-versions --confirm %s",
             source);
    sl_doctor_say(examining->doctor, SL_DOCTOR_FAIL, what, advice,
                  "it is organisation %s, and what is stored came from %s",
                  examining->remote.organisation, before);
    return false;
}

static bool lets_in(struct examining *examining)
{
    struct sl_doctor *doctor = examining->doctor;
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES];
    if (!sl_doctor_signs_in(doctor, examining->source, examining->remote.oauth,
                            &examining->remote.settings->auth))
        return false;
    snprintf(what, sizeof what, "source '%s'", examining->source->name);
    int rc = sl_dataverse_who_am_i(&examining->remote, &err);
    if (!sl_doctor_works(doctor, rc, &err, what, SL_DOCTOR_SOURCE_AWAY))
        return false;
    if (is_the_same(examining, what))
        sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "it answers; the application user is %s",
                      examining->remote.user);
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
        .table = table->name,
        .prefer =
            table->tracked ? "odata.track-changes,odata.maxpagesize=1" : "odata.maxpagesize=1",
        .urgency = SL_STEADY,
    };
    int rc = sl_dataverse_read_json(&examining->remote, &get, &doc, err);
    sl_json_free(doc);
    sl_buf_done(&path);
    return rc;
}

/* With less than the whole organisation, rows would come and go by who owns them, and what cannot
 * be seen looks like a deletion. Says what is not as it should be. */
static enum sl_verdict reads_all(struct examining *examining,
                                 const struct sl_dataverse_table *table, const char *what)
{
    struct sl_dataverse_reach reach = {0};
    struct sl_err err = {0};
    if (!table->read_privilege)
        return SL_DOCTOR_OK;
    int rc = sl_dataverse_reach_ask(&examining->remote, table->read_privilege, &reach, &err);
    if (rc == SL_OK && reach.reach == SL_REACH_PART) {
        char why[SL_ERR_TEXT_BYTES];
        sl_dataverse_reach_describe(table->read_privilege, &reach, why);
        sl_doctor_say(examining->doctor, SL_DOCTOR_FAIL, what, sl_dataverse_reach_advice, "%s",
                      why);
        return SL_DOCTOR_FAIL;
    }
    if (reach.reach == SL_REACH_WHOLE)
        return SL_DOCTOR_OK;
    if (rc == SL_OK)
        sl_err_set(&err, SL_REJECTED, "the answer names no depth that is known (%s)", reach.depth);
    sl_doctor_say(examining->doctor, SL_DOCTOR_WARN, what,
                  "make sure that a security role gives it", "how far %s reaches is not told: %s",
                  table->read_privilege, err.message);
    return SL_DOCTOR_WARN;
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
    bool readable = sl_doctor_works(doctor, rc, &err, what, NULL) &&
                    reads_all(examining, &table, what) == SL_DOCTOR_OK;
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
    sl_url_escape(&path, name);
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
    bool readable = sl_doctor_works(doctor, rc, &err, what, NULL), told = false;
    for (int i = 0; readable && i < 2; i++) {
        struct sl_dataverse_table table = {0};
        enum sl_verdict verdict = SL_DOCTOR_FAIL;
        rc = sl_dataverse_table_read(&examining->remote, tables[i], NULL, SL_STEADY, &table, &err);
        if (rc == SL_OK)
            rc = read_a_row(examining, &table, &err);
        if (sl_doctor_works(doctor, rc, &err, what, NULL))
            verdict = reads_all(examining, &table, what);
        readable = verdict != SL_DOCTOR_FAIL;
        told |= verdict == SL_DOCTOR_WARN;
        sl_dataverse_table_done(&table);
    }
    if (readable && !told)
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
    sl_dataverse_remote_done(&examining.remote);
}
