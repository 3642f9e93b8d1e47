/* What posts of Dataverse say: every shape that is documented or was captured, newer and plainer
 * ones, and what a stranger or a broken sender may send. */
#include "webhook/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define A "60c4e274-0d87-4e11-80e5-00155db19e6d"
#define B "11111111-2222-4333-8444-555555555555"
#define C "99999999-2222-4333-8444-aaaaaaaaaaaa"
#define SCHEMA ":http:\\/\\/schemas.microsoft.com\\/xrm\\/2011\\/Contracts"
#define REFERENCE(table, id)                                                                       \
    "{'__type':'EntityReference" SCHEMA "','Id':'" id "','KeyAttributes':[],'LogicalName':'" table \
    "','Name':null,'RowVersion':null}"
#define PARAMETER(key, value) "{'key':'" key "','value':" value "}"
#define ASSOCIATION(role)                                                                          \
    PARAMETER("Target", REFERENCE("account", A))                                                   \
    "," PARAMETER(                                                                                 \
        "Relationship",                                                                            \
        "{'__type':'Relationship" SCHEMA "','PrimaryEntityRole':" role                             \
        ",'SchemaName':'new_account_tag'}") "," PARAMETER("RelatedEntities",                       \
                                                          "[" REFERENCE(                           \
                                                              "new_tag",                           \
                                                              B) "," REFERENCE("new_tag", C) "]")

/* An update, whole; the parent's members must not be taken for its own. */
static const char update[] =
    "{'BusinessUnitId':'e2b9dd85-0000-4e11-8122-000d3aa20001','Depth':1,'InputParameters':["
    "{'key':'Target','value':{'__type':'Entity" SCHEMA "','Attributes':["
    "{'key':'name','value':'Fjord Tools AS'},{'key':'accountid','value':'" A "'},"
    "{'key':'creditlimit','value':{'__type':'Money" SCHEMA "','Value':1500.50}},"
    "{'key':'new_tags','value':[{'__type':'OptionSetValue" SCHEMA "','Value':1}]},"
    "{'key':'primarycontactid','value':" REFERENCE(
        "contact",
        B) "},"
           "{'key':'exchangerate','value':1.0000000000},{'key':'donotphone','value':false},"
           "{'key':'modifiedon','value':'\\/Date(1790000123000)\\/'},"
           "{'key':'modifiedonbehalfby','value':null}],'EntityState':null,'FormattedValues':["
           "{'key':'creditlimit','value':'kr 1 500,50'}],'Id':'" A "','KeyAttributes':[],"
           "'LogicalName':'account','RelatedEntities':[],'RowVersion':null}}],"
           "'IsInTransaction':false,'MessageName':'Update','Mode':1,"
           "'OperationCreatedOn':'\\/Date(1790000123000+0000)\\/','OutputParameters':[],"
           "'ParentContext':{'MessageName':'Create','PrimaryEntityName':'contact','PrimaryEntityId'"
           ":'" B "','ParentContext':null},"
           "'PostEntityImages':[{'key':'AsynchronousStepPrimaryName','value':{'Attributes':[],'Id':"
           "'" C "','LogicalName':'lead'}}],'PreEntityImages':[],'PrimaryEntityId':'" A
           "','PrimaryEntityName':'account','SecondaryEntityName':'none','SharedVariables':["
           "{'key':'IsAutoTransact','value':true}],'Stage':40}";

// clang-format off
static const struct {
    const char *name;
    const char *body; /* with ' for " */
    const char *out; /* "message table relationship at: table id …" */
} accepted[] = {
    {"update", update, "Update account - 1790000123000 asynchronous: account " A},
    {"in the transaction",
     "{'MessageName':'Update','Mode':0,'PrimaryEntityName':'account','PrimaryEntityId':'" A "'}",
     "Update account - 0: account " A},
    {"a mode that is none",
     "{'MessageName':'Update','Mode':'1','PrimaryEntityName':'account','PrimaryEntityId':'" A "'}",
     "Update account - 0: account " A},
    {"create",
     "{'MessageName':'Create','PrimaryEntityName':'account','PrimaryEntityId':'" A
     "','OutputParameters':[{'key':'id','value':'" A "'}]}",
     "Create account - 0: account " A},
    {"delete",
     "{'MessageName':'Delete','PrimaryEntityName':'account','PrimaryEntityId':'" A
     "','InputParameters':[" PARAMETER("Target", REFERENCE("account", A)) "]}",
     "Delete account - 0: account " A},
    {"delete, empty primary id",
     "{'MessageName':'Delete','PrimaryEntityName':'account',"
     "'PrimaryEntityId':'00000000-0000-0000-0000-000000000000',"
     "'InputParameters':[" PARAMETER("Target", REFERENCE("account", A)) "]}",
     "Delete account - 0: account " A},
    {"associate",
     "{'MessageName':'Associate','PrimaryEntityName':'account','SecondaryEntityName':'none',"
     "'InputParameters':[" ASSOCIATION("null") "]}",
     "Associate account new_account_tag 0: account " A " new_tag " B " new_tag " C},
    {"disassociate, no primary table",
     "{'MessageName':'Disassociate','PrimaryEntityName':'none','PrimaryEntityId':'" A
     "','InputParameters':[" ASSOCIATION("0") "]}",
     "Disassociate - new_account_tag 0: account " A " new_tag " B " new_tag " C},
    {"associate, from the other end",
     "{'MessageName':'Associate','PrimaryEntityName':'account',"
     "'InputParameters':[" ASSOCIATION("'Referenced'") "]}",
     "Associate account new_account_tag 0 referenced: account " A " new_tag " B " new_tag " C},
    {"associate, role as a number",
     "{'MessageName':'Associate','PrimaryEntityName':'account',"
     "'InputParameters':[" ASSOCIATION("1") "]}",
     "Associate account new_account_tag 0 referenced: account " A " new_tag " B " new_tag " C},
    {"many at once",
     "{'MessageName':'UpdateMultiple','PrimaryEntityName':'account','InputParameters':[" PARAMETER(
         "Targets", "{'Entities':[{'Id':'" A "','LogicalName':'account'},{'Id':'" B "'}]}") "]}",
     "UpdateMultiple account - 0: account " A " account " B},
    {"data event",
     "{'BusinessEventId':'x','ControlNumber':5637611083,"
     "'EventTimeIso8601':'2026-09-21T14:15:23.29Z','MessageName':'OnExternalUpdated',"
     "'PrimaryEntityName':'mserp_vendvendorv2entity','PrimaryEntityId':'" A "'}",
     "OnExternalUpdated mserp_vendvendorv2entity - 1790000123290: mserp_vendvendorv2entity " A},
    {"data event, older time",
     "{'EventTime':'/Date(1790000123000)/','MessageName':'OnExternalDeleted',"
     "'PrimaryEntityName':'mserp_v','PrimaryEntityId':'" A "'}",
     "OnExternalDeleted mserp_v - 1790000123000: mserp_v " A},
    {"braces and capitals",
     "{'MessageName':'Update','PrimaryEntityName':'Account',"
     "'PrimaryEntityId':'{60C4E274-0D87-4E11-80E5-00155DB19E6D}'}",
     "Update account - 0: account " A},
    {"time in ISO 8601",
     "{'MessageName':'Update','PrimaryEntityName':'account','PrimaryEntityId':'" A
     "','OperationCreatedOn':'2026-09-21T14:15:23Z'}",
     "Update account - 1790000123000: account " A},
    {"a time that is none",
     "{'MessageName':'Update','PrimaryEntityName':'account','PrimaryEntityId':'" A
     "','OperationCreatedOn':'/Date(99999999999999999999)/'}", "Update account - 0: account " A},
    {"another message",
     "{'MessageName':'new_Custom.Action','PrimaryEntityName':'none','PrimaryEntityId':null}",
     "new_Custom.Action - - 0:"},
    {"half a surrogate pair in a column",
     "{'MessageName':'Update','PrimaryEntityName':'account','PrimaryEntityId':'" A
     "','InputParameters':[" PARAMETER(
         "Target", "{'Attributes':[{'key':'name','value':'abc\\ud83d'}],'Id':'" A
                   "','LogicalName':'account'}") "]}",
     "Update account - 0: account " A},
    {"newer: parameters as an object",
     "{'MessageName':'Update','PrimaryEntityName':'account',"
     "'InputParameters':{'Target':" REFERENCE("account", A) "},'Unknown':{'deep':[[[]]]}}",
     "Update account - 0: account " A},
    {"newer: parameters are something else",
     "{'MessageName':'Update','PrimaryEntityName':'account','PrimaryEntityId':'" A
     "','InputParameters':17,'OperationCreatedOn':5}", "Update account - 0: account " A},
};

static const struct {
    const char *name, *body;
} refused[] = {
    {"empty", ""},
    {"no JSON", "hello"},
    {"cut off", "{'MessageName':'Upd"},
    {"two", "{'MessageName':'Update'}{}"},
    {"a list", "[]"},
    {"a text", "'Update'"},
    {"null", "null"},
    {"no message", "{'PrimaryEntityName':'account'}"},
    {"message is a number", "{'MessageName':5}"},
    {"message is a list", "{'MessageName':['Update']}"},
    {"table is an object", "{'MessageName':'Update','PrimaryEntityName':{}}"},
    {"table is a path", "{'MessageName':'Update','PrimaryEntityName':'a/../b'}"},
    {"table with a quote", "{'MessageName':'Update','PrimaryEntityName':'a\\'b'}"},
    {"table with NUL", "{'MessageName':'Update','PrimaryEntityName':'a\\u0000b'}"},
    {"id is a number", "{'MessageName':'Update','PrimaryEntityId':7}"},
    {"id is no GUID", "{'MessageName':'Update','PrimaryEntityId':'7'}"},
    {"id half in braces", "{'MessageName':'Update','PrimaryEntityId':'{" A "'}"},
    {"id lacks a digit",
     "{'MessageName':'Update','PrimaryEntityId':'60c4e274-0d87-4e11-80e5-00155db19e6'}"},
    {"target's id is none", "{'MessageName':'Update','InputParameters':{'Target':{'Id':'x'}}}"},
    {"a related id is none", "{'MessageName':'Associate','InputParameters':{'Target':{'Id':'" A
                             "'},'RelatedEntities':[{'Id':'x'}]}}"},
    {"the relationship is a number",
     "{'MessageName':'Associate','InputParameters':{'Relationship':{'SchemaName':1}}}"},
};

/* The body counts more than the headers. */
static const struct {
    const char *body, *table, *message, *size_exceeded, *out;
} headers[] = {
    {"{'PrimaryEntityId':'" A "'}", "account", "Update", NULL, "Update account - 0: account " A},
    {"{'MessageName':'Create','PrimaryEntityName':'contact'}", "account", "Update", NULL,
     "Create contact - 0:"},
    {"{'MessageName':'Update','PrimaryEntityName':'account','PrimaryEntityId':'" A "'}", NULL, NULL,
     "True", "Update account - 0 oversize: account " A},
    {"{'MessageName':'Associate','PrimaryEntityName':'account','PrimaryEntityId':'" A "'}", NULL,
     NULL, "1", "Associate account - 0 oversize: account " A},
    {"{'MessageName':'UpdateMultiple','PrimaryEntityName':'account'}", NULL, NULL, "True",
     "UpdateMultiple account - 0 oversize:"},
    {"{'MessageName':'Update'}", "account", NULL, "False", "Update account - 0:"},
};
// clang-format on

static char *with_quotes(const char *body)
{
    char *copy = sl_strdup(body);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    return copy;
}

static int read_body(const char *body, size_t size, const struct sl_webhook_hints *hints,
                     struct sl_webhook_event *ret, struct sl_err *err)
{
    /* Without a NUL behind it, so that reading too far is seen. */
    char *exact = sl_alloc(size ? size : 1);
    memcpy(exact, body, size);
    int rc = sl_webhook_event_read((struct sl_str){exact, size}, hints, ret, err);
    free(exact);
    return rc;
}

static void describe(const struct sl_webhook_event *event, char *out, size_t size)
{
    size_t used = (size_t)snprintf(
        out, size, "%s %s %s %lld%s%s%s:", event->message, event->table[0] ? event->table : "-",
        event->relationship[0] ? event->relationship : "-", (long long)event->at_ms,
        event->target_referenced ? " referenced" : "", event->oversize ? " oversize" : "",
        event->asynchronous ? " asynchronous" : "");
    for (uint32_t i = 0; i < event->row_count; i++)
        used += (size_t)snprintf(out + used, size - used, " %s %s", event->rows[i].table,
                                 event->rows[i].id);
}

static void check(const char *name, const char *text, const struct sl_webhook_hints *hints,
                  const char *expected)
{
    struct sl_webhook_event event = {0};
    struct sl_err err = {0};
    char out[512] = "", *body = with_quotes(text);
    int rc = read_body(body, strlen(body), hints, &event, &err);
    if (rc == SL_OK)
        describe(&event, out, sizeof out);
    if (rc != (expected ? SL_OK : SL_REJECTED) || (expected && strcmp(out, expected) != 0))
        fail_msg("%s: %s '%s' (%s)", name, sl_code_name(rc), out, err.message);
    if (rc != SL_OK && strncmp(err.message, "no event of Dataverse: ", 23) != 0)
        fail_msg("%s: message '%s'", name, err.message);
    sl_webhook_event_done(&event);
    free(body);
}

static void every_shape_is_read_or_refused(void **state)
{
    (void)state;
    const struct sl_webhook_hints none = {0};
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
        check(accepted[i].name, accepted[i].body, &none, accepted[i].out);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        check(refused[i].name, refused[i].body, &none, NULL);
}

static void headers_help_where_the_body_says_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const struct sl_webhook_hints hints = {headers[i].table, headers[i].message,
                                               headers[i].size_exceeded};
        check(headers[i].body, headers[i].body, &hints, headers[i].out);
    }
}

/* Cut anywhere, an event is refused, or read when the cut took blanks alone. */
static void a_body_that_was_cut_off_is_refused(void **state)
{
    (void)state;
    const struct sl_webhook_hints none = {0};
    char *body = with_quotes(update);
    for (size_t size = 0; size < strlen(body); size++) {
        struct sl_webhook_event event;
        assert_int_equal(read_body(body, size, &none, &event, NULL), SL_REJECTED);
    }
    free(body);
}

static void a_million_brackets_are_refused(void **state)
{
    (void)state;
    enum { DEEP = 1000 * 1000 };
    static const char *const opens[] = {"[", "{\"a\":"};
    const struct sl_webhook_hints none = {0};
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        struct sl_webhook_event event;
        struct sl_buf body;
        sl_buf_init(&body);
        sl_buf_add_text(&body, "{\"MessageName\":\"Update\",\"InputParameters\":");
        for (int n = 0; n < DEEP; n++)
            sl_buf_add_text(&body, opens[i]);
        assert_int_equal(read_body(body.data, body.length, &none, &event, NULL), SL_REJECTED);
        sl_buf_done(&body);
    }
}

/* The listener lets no such body in; should it, nothing breaks. */
static void eleven_megabytes_are_read(void **state)
{
    (void)state;
    enum { LARGE = 11 * 1000 * 1000 };
    const struct sl_webhook_hints none = {0};
    struct sl_webhook_event event;
    struct sl_buf body;
    sl_buf_init(&body);
    sl_buf_add_text(&body, "{\"Unknown\":\"");
    memset(sl_buf_reserve(&body, LARGE), 'x', LARGE);
    sl_buf_commit(&body, LARGE);
    sl_buf_add_text(&body, "\",\"MessageName\":\"Update\",\"PrimaryEntityName\":\"account\","
                           "\"PrimaryEntityId\":\"" A "\"}");
    assert_int_equal(read_body(body.data, body.length, &none, &event, NULL), SL_OK);
    assert_int_equal(event.row_count, 1);
    sl_webhook_event_done(&event);
    sl_buf_done(&body);
}

static void thousands_of_related_rows_are_read(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    const struct sl_webhook_hints none = {0};
    struct sl_webhook_event event;
    struct sl_buf body;
    sl_buf_init(&body);
    sl_buf_add_text(&body,
                    "{\"MessageName\":\"Associate\",\"InputParameters\":["
                    "{\"key\":\"Target\",\"value\":{\"Id\":\"" A "\",\"LogicalName\":\"account\"}},"
                    "{\"key\":\"RelatedEntities\",\"value\":[");
    for (int i = 0; i < MANY; i++)
        sl_buf_printf(&body,
                      "%s{\"LogicalName\":\"new_tag\",\"Id\":\"%08d-2222-4333-8444-555555555555\"}",
                      i ? "," : "", i);
    sl_buf_add_text(&body, "]}]}");
    assert_int_equal(read_body(body.data, body.length, &none, &event, NULL), SL_OK);
    assert_int_equal(event.row_count, MANY + 1);
    assert_string_equal(event.rows[MANY].id, "00002999-2222-4333-8444-555555555555");
    sl_webhook_event_done(&event);
    sl_buf_done(&body);
}

static void a_refusal_shows_nothing_of_the_body(void **state)
{
    (void)state;
    const struct sl_webhook_hints none = {0};
    static const char *const bodies[] = {
        "{'MessageName':'hunter2/','x':1}",
        "{'MessageName':'Update','PrimaryEntityId':'hunter2'}",
        "hunter2",
        "{'hunter2':}",
        "{'a':'hunter2' 'b'}",
        "{'hunter2':1,'hunter2':2}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct sl_webhook_event event;
        struct sl_err err = {0};
        char *body = with_quotes(bodies[i]);
        assert_int_equal(read_body(body, strlen(body), &none, &event, &err), SL_REJECTED);
        if (strstr(err.message, "hunter"))
            fail_msg("%s: %s", bodies[i], err.message);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_read_or_refused),
        cmocka_unit_test(headers_help_where_the_body_says_nothing),
        cmocka_unit_test(a_body_that_was_cut_off_is_refused),
        cmocka_unit_test(a_million_brackets_are_refused),
        cmocka_unit_test(eleven_megabytes_are_read),
        cmocka_unit_test(thousands_of_related_rows_are_read),
        cmocka_unit_test(a_refusal_shows_nothing_of_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
