#include "dataverse/reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "dataverse/table.h"
#include "flow/state.h"

enum { FORBIDDEN = 403 };

static const char ALERT[] = "rows may be missing";

const char sl_dataverse_reach_advice[] = "give the application user a security role that reads the "
                                         "table in the whole organisation";

int sl_dataverse_who_am_i(struct sl_dataverse_remote *remote, struct sl_err *err)
{
    const struct sl_dataverse_get get = {.path = "WhoAmI", .urgency = SL_STEADY};
    struct sl_json_doc *doc = NULL;
    if (remote->user)
        return SL_OK;
    int rc = sl_dataverse_read_json(remote, &get, &doc, err);
    if (rc != SL_OK)
        return rc;
    const char *user = sl_json_text(sl_json_get(sl_json_root(doc), "UserId"));
    const char *organisation = sl_json_text(sl_json_get(sl_json_root(doc), "OrganizationId"));
    if (!user)
        rc = sl_err_set(err, SL_CLOSED, "WhoAmI: the answer has no UserId");
    else if (!remote->user) { /* else somebody else has asked meanwhile */
        remote->user = sl_strdup(user);
        free(remote->organisation);
        remote->organisation = organisation ? sl_strdup(organisation) : NULL;
    }
    sl_json_free(doc);
    return rc;
}

/* Of ids that are too long the beginning is kept. */
bool sl_dataverse_is_another(const struct sl_dataverse_remote *remote, const char *organisation)
{
    return *organisation && remote->organisation &&
           strncmp(organisation, remote->organisation, SL_ORGANISATION_BYTES - 1) != 0;
}

void sl_dataverse_who_again(struct sl_dataverse_remote *remote)
{
    free(remote->user);
    remote->user = NULL;
}

/* The enumeration PrivilegeDepth. Answers were seen to name it by its words; that they may name it
 * by its numbers is a guess. */
static const struct depth {
    const char *word;
    int64_t number;
    enum sl_reach reach;
} DEPTHS[] = {
    {"Basic",  0, SL_REACH_PART }, /* the user's own rows */
    {"Local",  1, SL_REACH_PART }, /* of the business unit */
    {"Deep",   2, SL_REACH_PART }, /* and of those below it */
    {"Global", 3, SL_REACH_WHOLE},
};

static enum sl_reach reach_of(const struct sl_json *depth, const char *text)
{
    int64_t number;
    bool numbered = sl_json_int(depth, &number);
    for (size_t i = 0; i < sizeof DEPTHS / sizeof *DEPTHS; i++)
        if (!strcasecmp(text, DEPTHS[i].word) || (numbered && number == DEPTHS[i].number))
            return DEPTHS[i].reach;
    return SL_REACH_UNTOLD;
}

void sl_dataverse_reach_parse(const struct sl_json *answer, struct sl_dataverse_reach *ret)
{
    const struct sl_json *list = sl_json_get(answer, "RolePrivileges");
    *ret = (struct sl_dataverse_reach){.depth = "none"};
    for (const struct sl_json *at = list && list->kind == SL_JSON_LIST ? list->first : NULL; at;
         at = at->next) {
        const struct sl_json *depth = sl_json_get(at, "Depth");
        if (!depth || (depth->kind != SL_JSON_TEXT && depth->kind != SL_JSON_NUMBER))
            continue;
        struct sl_dataverse_reach one;
        snprintf(one.depth, sizeof one.depth, "%s", depth->text.at);
        one.reach = reach_of(depth, one.depth);
        if (one.reach > ret->reach || !strcmp(ret->depth, "none"))
            *ret = one;
    }
}

int sl_dataverse_reach_ask(struct sl_dataverse_remote *remote, const char *privilege,
                           struct sl_dataverse_reach *ret, struct sl_err *err)
{
    struct sl_json_doc *doc = NULL;
    struct sl_buf path;
    int rc = sl_dataverse_who_am_i(remote, err);
    if (rc != SL_OK)
        return rc;
    sl_buf_init(&path);
    sl_buf_add_text(&path, "systemusers(");
    sl_url_escape(&path, remote->user);
    sl_buf_add_text(&path, ")/Microsoft.Dynamics.CRM.RetrieveUserPrivilegeByPrivilegeName("
                           "PrivilegeName='");
    sl_url_escape(&path, privilege);
    sl_buf_add_text(&path, "')");
    const struct sl_dataverse_get get = {.path = path.data, .urgency = SL_STEADY};
    rc = sl_dataverse_read_json(remote, &get, &doc, err);
    sl_buf_done(&path);
    if (rc == SL_NOTFOUND) /* or he was made again, under another id */
        sl_dataverse_who_again(remote);
    if (rc != SL_OK)
        return rc;
    sl_dataverse_reach_parse(sl_json_root(doc), ret);
    sl_json_free(doc);
    return SL_OK;
}

bool sl_dataverse_reach_is_refused(const struct sl_err *err)
{
    return err->code == SL_NOTFOUND || err->code == SL_REJECTED ||
           (err->code == SL_CONFIG && err->cause >= FORBIDDEN);
}

void sl_dataverse_reach_describe(const char *privilege, const struct sl_dataverse_reach *reach,
                                 char ret[SL_ERR_TEXT_BYTES])
{
    snprintf(ret, SL_ERR_TEXT_BYTES,
             "privilege %s of the application user reaches less than the organisation (%s)",
             privilege, reach->depth);
}

void sl_dataverse_reach_tell(const char *privilege, const struct sl_dataverse_reach *reach,
                             char ret[SL_ERR_TEXT_BYTES])
{
    struct sl_err told = {0};
    if (reach->reach == SL_REACH_PART) {
        char why[SL_ERR_TEXT_BYTES];
        sl_dataverse_reach_describe(privilege, reach, why);
        sl_err_set(&told, SL_CONFIG, "%s; rows are missing: %s", why, sl_dataverse_reach_advice);
    }
    memcpy(ret, told.message, sizeof told.message);
}

void sl_dataverse_reach_announce(const struct sl_alerter *alerter, const char *feed,
                                 const char *told)
{
    if (!told[0]) {
        sl_log(SL_INFO, "the application user sees the whole table now", SL_T("feed", feed));
        return;
    }
    sl_log(SL_WARN, "the application user sees part of the table only", SL_T("feed", feed),
           SL_T("error", told));
    alerter->raise(SL_ALERT_OPERATOR, feed, ALERT, told);
}

void sl_dataverse_reach_works(const struct sl_alerter *alerter, const char *feed, const char *told,
                              bool troubled)
{
    if (!told[0])
        alerter->clear(SL_ALERT_OPERATOR, feed);
    else if (troubled)
        alerter->raise(SL_ALERT_OPERATOR, feed, ALERT, told);
}
