/* Does an environment of Finance & Operations let sluice in, and are the data projects and
 * companies there that the feeds name? Only read: no export is started. */
#include <stdio.h>

#include "cli/doctor.h"
#include "dmf/lookup.h"

struct examining {
    struct sl_doctor *doctor;
    const struct sl_source_config *source;
    struct sl_dmf_remote remote;
    struct sl_dmf_names companies; /* none: it is not known which there are */
};

enum { LIST_BYTES = 200 };

/* --- the environment --- */

/* An execution that cannot exist is asked for: the environment's way of not knowing it shows that
 * the login reaches the data management API. */
static int knows_no_such_execution(struct sl_dmf_remote *remote, struct sl_err *err)
{
    enum sl_dmf_status status;
    int rc = sl_dmf_status(remote, "sluice-doctor-asks-whether-you-answer", &status, err);
    return rc == SL_NOTFOUND ? SL_OK : rc;
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
    int rc = knows_no_such_execution(&examining->remote, &err);
    if (!sl_doctor_works(doctor, rc, &err, what, SL_DOCTOR_SOURCE_AWAY))
        return false;
    sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "the data management API answers");
    return true;
}

/* --- a feed --- */

/* Whether it could be looked up. An environment may not have it, or not let the user read it, and
 * exports run all the same: a warning. */
static bool is_told(struct examining *examining, int rc, const struct sl_err *err, const char *what,
                    const char *advice)
{
    if (rc != SL_OK)
        sl_doctor_say(examining->doctor, SL_DOCTOR_WARN, what, advice, "could not be looked at: %s",
                      err->message);
    return rc == SL_OK;
}

/* As many names as a line bears. */
static void add_name(struct sl_buf *list, const char *name)
{
    if (list->length < LIST_BYTES)
        sl_buf_printf(list, "%s'%s'", list->length ? ", " : "", name);
    else if (list->data[list->length - 1] == '\'')
        sl_buf_add_text(list, " and more");
}

static void examine_entities(struct examining *examining, const struct sl_feed_config *feed,
                             const char *project, const char *what)
{
    struct sl_dmf_names names = {0};
    struct sl_err err = {0};
    int rc = sl_dmf_project_entities(&examining->remote, project, &names, &err);
    if (!is_told(examining, rc, &err, what,
                 "look yourself whether it has the feed's entities, spelled alike"))
        return;
    struct sl_buf lacks, has;
    sl_buf_init(&lacks);
    sl_buf_init(&has);
    for (size_t i = 0; i < feed->entity_count; i++)
        if (!sl_dmf_names_have(&names, feed->entities[i].name))
            add_name(&lacks, feed->entities[i].name);
    for (size_t i = 0; i < names.count; i++)
        add_name(&has, names.at[i]);
    if (lacks.length)
        sl_doctor_say(examining->doctor, SL_DOCTOR_FAIL, what,
                      "correct the name under entities, or add the entity to the project",
                      "it lacks %s; it has %s", lacks.data, has.length ? has.data : "no entities");
    sl_buf_done(&lacks);
    sl_buf_done(&has);
    sl_dmf_names_done(&names);
}

static void examine_project(struct examining *examining, const struct sl_feed_config *feed,
                            const char *setting, const char *project)
{
    struct sl_dmf_names kinds = {0};
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES], advice[100];
    snprintf(what, sizeof what, "feed '%s' data project '%s'", feed->name, project);
    snprintf(advice, sizeof advice, "correct %s, or make the project (Data management, Export)",
             setting);
    int rc = sl_dmf_project_kinds(&examining->remote, project, &kinds, &err);
    if (!is_told(examining, rc, &err, what,
                 "look yourself whether it is there; the user may need a role that reads it"))
        return;
    if (!kinds.count)
        sl_doctor_say(examining->doctor, SL_DOCTOR_FAIL, what, advice,
                      "the environment shows none of that name");
    else if (kinds.count == 1 && sl_dmf_names_have(&kinds, "Import"))
        sl_doctor_say(examining->doctor, SL_DOCTOR_FAIL, what, advice, "it is one for imports");
    else
        examine_entities(examining, feed, project, what);
    sl_dmf_names_done(&kinds);
}

static void examine_company(struct examining *examining, const struct sl_feed_config *feed,
                            const char *company)
{
    char what[SL_DOCTOR_WHAT_BYTES];
    snprintf(what, sizeof what, "feed '%s' legal entity '%s'", feed->name, company);
    if (examining->companies.count && !sl_dmf_names_have(&examining->companies, company))
        sl_doctor_say(examining->doctor, SL_DOCTOR_FAIL, what,
                      "correct legal_entity, or give the application's user a role in it",
                      "it is not among the %zu that this user sees", examining->companies.count);
}

static void examine_feed(struct examining *examining, const struct sl_feed_config *feed)
{
    const struct sl_dmf_feed_settings *settings = feed->settings;
    const char *full = settings->full_definition_group;
    struct sl_doctor *doctor = examining->doctor;
    unsigned said = doctor->failed + doctor->warned;
    examine_project(examining, feed, "definition_group", settings->definition_group);
    if (full)
        examine_project(examining, feed, "full_definition_group", full);
    examine_company(examining, feed, settings->legal_entity);
    if (doctor->failed + doctor->warned != said)
        return;
    char what[SL_DOCTOR_WHAT_BYTES];
    struct sl_buf text;
    sl_buf_init(&text);
    sl_buf_printf(&text, "its entities are in data project '%s'", settings->definition_group);
    if (full)
        sl_buf_printf(&text, " and in '%s'", full);
    if (examining->companies.count)
        sl_buf_printf(&text, "; legal entity '%s' is there", settings->legal_entity);
    snprintf(what, sizeof what, "feed '%s'", feed->name);
    sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "%s", text.data);
    sl_buf_done(&text);
}

static void examine_feeds(struct examining *examining)
{
    const struct sl_config *config = examining->doctor->config;
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES];
    snprintf(what, sizeof what, "source '%s' legal entities", examining->source->name);
    int rc = sl_dmf_companies(&examining->remote, &examining->companies, &err);
    if (rc == SL_OK && !examining->companies.count)
        rc = sl_err_set(&err, SL_REJECTED, "LegalEntities: the user sees none at all");
    is_told(examining, rc, &err, what, "look yourself whether those of the feeds are there");
    for (size_t i = 0; i < config->feed_count; i++)
        if (config->feeds[i].source == examining->source)
            examine_feed(examining, &config->feeds[i]);
    sl_dmf_names_done(&examining->companies);
}

void sl_doctor_dmf(struct sl_doctor *doctor, const struct sl_source_config *source)
{
    struct sl_dmf_source_settings settings =
        *(const struct sl_dmf_source_settings *)source->settings;
    struct examining examining = {.doctor = doctor, .source = source};
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES];
    if (settings.request_timeout_ms > SL_DOCTOR_REQUEST_MS)
        settings.request_timeout_ms = SL_DOCTOR_REQUEST_MS;
    snprintf(what, sizeof what, "source '%s' token", source->name);
    int rc = sl_dmf_remote_init(&examining.remote, doctor->http, source->name, &settings, &err);
    if (!sl_doctor_works(doctor, rc, &err, what, NULL))
        return;
    if (lets_in(&examining))
        examine_feeds(&examining);
    sl_dmf_remote_done(&examining.remote);
}
