/* A table's definition: names, types, what is asked for, what an operator is told. */
#include "dataverse/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char DEFINITION[] =
    "{\"@odata.context\":\"https://contoso.crm.dynamics.com/api/data/v9.2/$metadata#x\","
    "\"LogicalName\":\"account\",\"EntitySetName\":\"accounts\","
    "\"PrimaryIdAttribute\":\"accountid\",\"ChangeTrackingEnabled\":true,"
    "\"MetadataId\":\"70816501-edb9-4740-a16c-6a5efbc05d84\","
    "\"CanChangeTrackingBeEnabled\":{\"Value\":true,\"CanBeChanged\":true},"
    "\"Privileges\":[{\"Name\":\"prvCreateAccount\",\"PrivilegeType\":\"Create\"},"
    "{\"Name\":\"prvReadAccount\",\"PrivilegeType\":\"Read\"}],"
    "\"Attributes\":["
    "{\"LogicalName\":\"accountid\",\"AttributeType\":\"Uniqueidentifier\",\"AttributeOf\":null,"
    "\"IsValidForRead\":true},"
    "{\"LogicalName\":\"name\",\"AttributeType\":\"String\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"description\",\"AttributeType\":\"Memo\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"creditlimit\",\"AttributeType\":\"Money\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"exchangerate\",\"AttributeType\":\"Decimal\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"address1_latitude\",\"AttributeType\":\"Double\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"numberofemployees\",\"AttributeType\":\"Integer\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"industrycode\",\"AttributeType\":\"Picklist\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"industrycodename\",\"AttributeType\":\"Virtual\","
    "\"AttributeOf\":\"industrycode\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"statecode\",\"AttributeType\":\"State\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"donotphone\",\"AttributeType\":\"Boolean\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"modifiedon\",\"AttributeType\":\"DateTime\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"versionnumber\",\"AttributeType\":\"BigInt\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"primarycontactid\",\"AttributeType\":\"Lookup\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"primarycontactidname\",\"AttributeType\":\"String\","
    "\"AttributeOf\":\"primarycontactid\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"ownerid\",\"AttributeType\":\"Owner\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"new_tags\",\"AttributeType\":\"Virtual\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"entityimage\",\"AttributeType\":\"Virtual\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"entityimage_url\",\"AttributeType\":\"String\","
    "\"AttributeOf\":\"entityimage\",\"IsValidForRead\":true},"
    "{\"LogicalName\":\"iscustomizable\",\"AttributeType\":\"ManagedProperty\","
    "\"IsValidForRead\":true},"
    "{\"LogicalName\":\"secret\",\"AttributeType\":\"String\",\"IsValidForRead\":false},"
    "{\"LogicalName\":\"to\",\"AttributeType\":\"PartyList\",\"IsValidForRead\":true}]}";

static int parse(const char *text, char *const *select, struct sl_dataverse_table *ret,
                 struct sl_err *err)
{
    struct sl_json_doc *doc = NULL;
    assert_int_equal(sl_json_parse(text, strlen(text), NULL, &doc, err), SL_OK);
    int rc = sl_dataverse_table_parse(sl_json_root(doc), select, ret, err);
    sl_json_free(doc);
    return rc;
}

static const struct sl_column *column(const struct sl_dataverse_table *table, const char *name)
{
    return sl_columns_find(&table->columns, sl_str_of(name));
}

static void all_columns_by_their_names_in_answers(void **state)
{
    static const struct {
        const char *name;
        enum sl_type type;
    } wanted[] = {
        {"accountid",               SL_TYPE_STRING },
        {"name",                    SL_TYPE_STRING },
        {"description",             SL_TYPE_STRING },
        {"creditlimit",             SL_TYPE_DECIMAL},
        {"exchangerate",            SL_TYPE_DECIMAL},
        {"address1_latitude",       SL_TYPE_DOUBLE },
        {"numberofemployees",       SL_TYPE_INT    },
        {"industrycode",            SL_TYPE_INT    },
        {"statecode",               SL_TYPE_INT    },
        {"donotphone",              SL_TYPE_BOOL   },
        {"modifiedon",              SL_TYPE_DATE   },
        {"versionnumber",           SL_TYPE_INT    },
        {"_primarycontactid_value", SL_TYPE_STRING },
        {"_ownerid_value",          SL_TYPE_STRING },
        {"new_tags",                SL_TYPE_STRING },
        {"entityimage_url",         SL_TYPE_STRING },
    };
    struct sl_dataverse_table table = {0};
    struct sl_err err;
    (void)state;
    assert_int_equal(parse(DEFINITION, NULL, &table, &err), SL_OK);
    assert_string_equal(table.name, "account");
    assert_string_equal(table.entity_set, "accounts");
    assert_string_equal(table.id_column, "accountid");
    assert_string_equal(table.read_privilege, "prvReadAccount");
    assert_true(table.tracked && table.trackable && table.has_modified);
    assert_null(table.select);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_non_null(column(&table, wanted[i].name));
        assert_int_equal(column(&table, wanted[i].name)->type, wanted[i].type);
        assert_false(column(&table, wanted[i].name)->any);
        assert_true(column(&table, wanted[i].name)->keep);
    }
    assert_true(column(&table, "iscustomizable")->any);
    assert_true(column(&table, "iscustomizable")->keep);
    assert_null(column(&table, "primarycontactid"));
    assert_null(column(&table, "secret"));
    assert_null(column(&table, "to"));
    assert_int_equal(sl_dataverse_table_check(&table, &err), SL_OK);
    sl_dataverse_table_done(&table);
    sl_dataverse_table_done(&table); /* zeroed by the first */
}

static void a_selection_and_what_sluice_needs(void **state)
{
    char *select[] = {"name", "ownerid",   "_primarycontactid_value", "creditlimit",
                      "name", "accountid", "iscustomizable",          NULL};
    struct sl_dataverse_table table;
    struct sl_err err;
    (void)state;
    assert_int_equal(parse(DEFINITION, select, &table, &err), SL_OK);
    assert_string_equal(table.select,
                        "accountid,name,_ownerid_value,_primarycontactid_value,creditlimit,"
                        "iscustomizable,modifiedon,versionnumber");
    assert_true(column(&table, "iscustomizable")->any);
    assert_true(column(&table, "_ownerid_value")->keep);
    assert_true(column(&table, "accountid")->keep);
    assert_false(column(&table, "modifiedon")->keep);
    assert_false(column(&table, "versionnumber")->keep);
    assert_false(column(&table, "description")->keep);
    sl_dataverse_table_done(&table);

    char *asked[] = {"modifiedon", NULL};
    assert_int_equal(parse(DEFINITION, asked, &table, &err), SL_OK);
    assert_string_equal(table.select, "accountid,modifiedon,versionnumber");
    assert_true(column(&table, "modifiedon")->keep);
    sl_dataverse_table_done(&table);
}

static void a_column_that_is_not_there_is_named(void **state)
{
    static const struct {
        char *wanted;
        const char *says;
    } rows[] = {
        {"creditlimt",           "table 'account' has no column 'creditlimt' that can be read: did you mean "
                       "\"creditlimit\"?"                                 },
        {"Name",                 "has no column 'Name' that can be read: did you mean \"name\"?"},
        {"secret",               "has no column 'secret' that can be read"                      },
        {"to",                   "has no column 'to'"                                           },
        {"zzzzzzzz",             "has no column 'zzzzzzzz' that can be read"                    },
        {"primarycontactidname", "goes with 'primarycontactid'; select that one, and set "
                                 "formatted_values"             },
        {"industrycodename",     "goes with 'industrycode'"                                     },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *select[] = {"name", rows[i].wanted, NULL};
        struct sl_dataverse_table table = {0};
        struct sl_err err;
        assert_int_equal(parse(DEFINITION, select, &table, &err), SL_CONFIG);
        if (!strstr(err.message, rows[i].says))
            print_message("%s\n", err.message);
        assert_non_null(strstr(err.message, rows[i].says));
        assert_null(table.name); /* untouched */
    }
}

static void what_is_missing_is_told(void **state)
{
    static const char *const rows[] = {
        "{}",
        "[]",
        "{\"LogicalName\":\"t\",\"EntitySetName\":\"ts\",\"PrimaryIdAttribute\":\"tid\"}",
        "{\"LogicalName\":\"t\",\"EntitySetName\":7,\"PrimaryIdAttribute\":\"tid\","
        "\"Attributes\":[{\"LogicalName\":\"tid\",\"AttributeType\":\"Uniqueidentifier\"}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_dataverse_table table;
        struct sl_err err;
        assert_int_equal(parse(rows[i], NULL, &table, &err), SL_CLOSED);
        assert_non_null(strstr(err.message, "its definition lacks"));
    }
}

static void tracking_that_is_off_is_explained(void **state)
{
    char name[] = "t";
    struct sl_dataverse_table table = {.name = name, .trackable = true};
    struct sl_err err;
    (void)state;
    assert_int_equal(sl_dataverse_table_check(&table, &err), SL_CONFIG);
    assert_non_null(strstr(err.message, "table 't': change tracking is off; turn it on"));
    table.trackable = false;
    assert_int_equal(sl_dataverse_table_check(&table, &err), SL_CONFIG);
    assert_non_null(strstr(err.message, "cannot be turned on"));
}

static void elastic_tables_are_refused(void **state)
{
    static const struct {
        const char *type;
        int code;
    } rows[] = {
        {"\"Elastic\"",  SL_CONFIG},
        {"\"Standard\"", SL_OK    },
        {"\"Virtual\"",  SL_OK    },
        {"null",         SL_OK    },
        {"3",            SL_OK    },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_dataverse_table table = {0};
        struct sl_err err;
        char text[300];
        snprintf(text, sizeof text,
                 "{\"LogicalName\":\"t\",\"EntitySetName\":\"ts\","
                 "\"PrimaryIdAttribute\":\"tid\",\"TableType\":%s,\"Attributes\":"
                 "[{\"LogicalName\":\"tid\",\"AttributeType\":\"Uniqueidentifier\"}]}",
                 rows[i].type);
        assert_int_equal(parse(text, NULL, &table, &err), rows[i].code);
        if (rows[i].code != SL_OK)
            assert_non_null(strstr(err.message, "table 't': elastic tables are not supported: "));
        sl_dataverse_table_done(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_columns_by_their_names_in_answers),
        cmocka_unit_test(a_selection_and_what_sluice_needs),
        cmocka_unit_test(a_column_that_is_not_there_is_named),
        cmocka_unit_test(what_is_missing_is_told),
        cmocka_unit_test(tracking_that_is_off_is_explained),
        cmocka_unit_test(elastic_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
