/* How far the application user's right to read a table reaches. With less than the whole
 * organisation the service answers as if all were well, and rows are missing: only this question
 * tells.
 *
 * Facts: RetrieveUserPrivilegeByPrivilegeName, RolePrivilege and PrivilegeDepth of Microsoft's
 * reference of the Web API. */
#ifndef SL_DATAVERSE_REACH_H
#define SL_DATAVERSE_REACH_H

#include "base/alert_kind.h"
#include "dataverse/api.h"

enum sl_reach {
    SL_REACH_UNTOLD, /* the service does not say, or in words that are not known */
    SL_REACH_PART,   /* rows of the user's own, or of business units */
    SL_REACH_WHOLE,  /* the whole organisation */
};

struct sl_dataverse_reach {
    enum sl_reach reach;
    char depth[32]; /* of it, as the service says: "Basic"; "none" when it names none */
};

/* What an operator does about SL_REACH_PART. */
extern const char sl_dataverse_reach_advice[];

/* Makes remote->user and remote->organisation known: WhoAmI tells the user behind the token, and
 * the environment's organisation. Suspends, unless the user is known. Fails like
 * sl_dataverse_read_json. */
int sl_dataverse_who_am_i(struct sl_dataverse_remote *remote, struct sl_err *err);

/* Whether it is known to be another organisation than that ("": not known which). */
bool sl_dataverse_is_another(const struct sl_dataverse_remote *remote, const char *organisation);

/* That is asked again by the next one who must know. Does not suspend. */
void sl_dataverse_who_again(struct sl_dataverse_remote *remote);

/* Asks how far a privilege ("prvReadAccount"; borrowed) of the application user reaches. Suspends.
 * err must be given. Fails like sl_dataverse_read_json; ret is not touched then. */
int sl_dataverse_reach_ask(struct sl_dataverse_remote *remote, const char *privilege,
                           struct sl_dataverse_reach *ret, struct sl_err *err);

/* What the answer says (pure). Of several roles the widest counts. */
void sl_dataverse_reach_parse(const struct sl_json *answer, struct sl_dataverse_reach *ret);

/* Whether such a failure says that the service will not tell, however often it is asked. */
bool sl_dataverse_reach_is_refused(const struct sl_err *err);

/* "privilege prvReadAccount of the application user reaches less than the organisation (Basic)". */
void sl_dataverse_reach_describe(const char *privilege, const struct sl_dataverse_reach *reach,
                                 char ret[SL_ERR_TEXT_BYTES]);

/* The same with what follows from it and what to do; "" when it is not SL_REACH_PART. */
void sl_dataverse_reach_tell(const char *privilege, const struct sl_dataverse_reach *reach,
                             char ret[SL_ERR_TEXT_BYTES]);

/* That this changed for a feed: told is what sl_dataverse_reach_tell says of it. A log line, and of
 * a narrow right an operator is told. */
void sl_dataverse_reach_announce(const struct sl_alerter *alerter, const char *feed,
                                 const char *told);

/* The feed works, after a trouble of another kind or none: it needs no operator any more, or still
 * the one that its narrow right (told) is for. */
void sl_dataverse_reach_works(const struct sl_alerter *alerter, const char *feed, const char *told,
                              bool troubled);

#endif
