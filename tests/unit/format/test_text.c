/* UTF-16LE at every chunk and room size, sniffing of encodings, and the manifest in all its forms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "format/encoding.h"
#include "format/manifest.h"
#include "format/utf16.h"

#include <cmocka.h>

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct {
    const char *in;
    size_t size;
    const char *out;
} utf16[] = {
    {BYTES(""),                                                         ""                                },
    {BYTES("a\0b\0"),                                                   "ab"                              },
    {BYTES("a\0b\0c\0d\0e\0f\0g\0h\0i\0"),                              "abcdefghi"                       },
    {BYTES("\xff\xfe"
           "a\0"),
     "\xef\xbb\xbf"
     "a"                                                                                                  },
    {BYTES("\xe4\0\xac\x20\x22\x6f\x7f\0\x80\0\xff\x07\0\x08\xff\xff"),
     "ä€漢\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"                                               },
    {BYTES("\x3d\xd8\0\xde"),                                           "😀"                            },
    {BYTES("\0\xd8\0\xdc\xff\xdb\xff\xdf"),                             "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    {BYTES("\x3d\xd8"
           "a\0"),
     "\xef\xbf\xbd"
     "a"                                                                                                  },
    {BYTES("\0\xde"
           "a\0"),
     "\xef\xbf\xbd"
     "a"                                                                                                  },
    {BYTES("\x3d\xd8\x3d\xd8\0\xde"),                                   "\xef\xbf\xbd😀"                },
    {BYTES("\x3d\xd8"),                                                 "\xef\xbf\xbd"                    },
    {BYTES("a\0b"),                                                     "a\xef\xbf\xbd"                   },
    {BYTES("\x3d\xd8"
           "a"),
     "\xef\xbf\xbd\xef\xbf\xbd"                                                                           },
};

static void test_utf16_at_every_chunk_and_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof utf16 / sizeof *utf16; i++)
        for (size_t chunk = 1; chunk <= utf16[i].size + 1; chunk++)
            for (size_t room = SL_UTF16_ROOM_BYTES; room < 40; room += 3) {
                struct sl_utf16 converter = {0};
                struct sl_buf out = {0};
                for (size_t at = 0; at < utf16[i].size;) {
                    size_t part = utf16[i].size - at < chunk ? utf16[i].size - at : chunk, used;
                    char *exact = malloc(part ? part : 1);
                    memcpy(exact, utf16[i].in + at, part);
                    char *to = malloc(room);
                    size_t got = sl_utf16_decode(&converter, exact, part, &used, to, room);
                    assert_true(used > 0 && used <= part && got <= room);
                    sl_buf_add(&out, to, got);
                    at += used;
                    free(exact);
                    free(to);
                }
                char rest[SL_UTF16_ROOM_BYTES];
                sl_buf_add(&out, rest, sl_utf16_finish(&converter, rest));
                assert_string_equal(out.data, utf16[i].out);
                assert_int_equal(out.length, strlen(utf16[i].out));
                assert_true(sl_utf8_valid(out.data, out.length));
                sl_buf_done(&out);
            }
}

static const struct {
    const char *bytes;
    size_t size;
    enum sl_encoding encoding;
} sniffs[] = {
    {BYTES(""),                                                  SL_ENCODING_UTF8   },
    {BYTES("a"),                                                 SL_ENCODING_UTF8   },
    {BYTES("\xff\xfe"),                                          SL_ENCODING_UTF16LE},
    {BYTES("\xff\xfe"
           "a\0"),
     SL_ENCODING_UTF16LE                                                            },
    {BYTES("\xef\xbb\xbf"
           "abc"),
     SL_ENCODING_UTF8                                                               },
    {BYTES("A\0,\0B\0"),                                         SL_ENCODING_UTF16LE},
    {BYTES("\xe4\0,\0\x22\x6f"),                                 SL_ENCODING_UTF16LE},
    {BYTES("NAME,VALUE\r\n"),                                    SL_ENCODING_UTF8   },
    {BYTES("äöü,漢字\n"),                                   SL_ENCODING_UTF8   },
    {BYTES("\0A\0,\0B"),                                         SL_ENCODING_UTF8   },
    {BYTES("\0\0\0\0\0\0"),                                      SL_ENCODING_UTF8   },
    {BYTES("A\0\r\0\n\0\0\x4e\0\x30\0\x01\0\x4e\0\x4e"),         SL_ENCODING_UTF16LE},
    {BYTES("A\0,\0B\0\n\0\0\x4e\x2a\x75"),                       SL_ENCODING_UTF16LE},
    {BYTES("A\0\r\0\0\x4e\0\x4e\0\x4e\0\x4e"),                   SL_ENCODING_UTF16LE},
    {BYTES("A\0,\0\0\x4e\n\0"),                                  SL_ENCODING_UTF16LE},
    {BYTES("\0A\0\r\0\n\x4e\0\x30\0\x01\0\x4e\0\x4e\0"),         SL_ENCODING_UTF8   },
    {BYTES("\0A\0,\0B\0\n\x4e\0\x4e\0\x4e\0\x4e\0\x4e\0\x4e\0"), SL_ENCODING_UTF8   },
};

static void test_encodings_are_told_from_the_first_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sniffs / sizeof *sniffs; i++)
        assert_int_equal(sl_encoding_sniff(sniffs[i].bytes, sniffs[i].size), sniffs[i].encoding);
}

#define NAMESPACE "http://schemas.microsoft.com/dynamics/2015/01/DataManagement"
#define OPEN                                                                                       \
    "<DataManagementPackageManifest xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" "        \
    "xmlns=\"" NAMESPACE "\"><DefinitionGroupName>P</DefinitionGroupName><PackageEntityList>"
#define CLOSE "</PackageEntityList></DataManagementPackageManifest>"
#define VENDORS                                                                                    \
    "<DataManagementPackageEntityData><EntityMapList><EntityMap><ArrayIndex>1</ArrayIndex>"        \
    "<EntityField>NAME</EntityField><EntityFieldConversionList i:nil=\"true\"/>"                   \
    "<XMLField>Name</XMLField><EntityName>not this</EntityName></EntityMap></EntityMapList>"       \
    "<EntityName>Vendors V3</EntityName><ExecutionUnit>1</ExecutionUnit>"                          \
    "<InputFilePath>Vendors V3.csv</InputFilePath></DataManagementPackageEntityData>"
#define OTHER                                                                                      \
    "<DataManagementPackageEntityData><InputFilePath>a&amp;b&#228;.csv</InputFilePath>"            \
    "<EntityName><![CDATA[R&D <x>]]></EntityName></DataManagementPackageEntityData>"

static const struct {
    const char *name, *xml;
    const char *list; /* NULL: refused */
} manifests[] = {
    {"plain",                   OPEN VENDORS CLOSE,                                                "Vendors V3=Vendors V3.csv;"                  },
    {"two",                     OPEN VENDORS OTHER CLOSE,                                          "Vendors V3=Vendors V3.csv;R&D <x>=a&bä.csv;"},
    {"declaration",             "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" OPEN VENDORS CLOSE,
     "Vendors V3=Vendors V3.csv;"                                                                                                                },
    {"declares what it is not", "<?xml version=\"1.0\" encoding=\"utf-16\"?>" OPEN VENDORS CLOSE,
     "Vendors V3=Vendors V3.csv;"                                                                                                                },
    {"prefixed names",
     "<d:DataManagementPackageManifest xmlns:d=\"" NAMESPACE "\"><d:PackageEntityList>"
     "<d:DataManagementPackageEntityData><d:EntityName>A</d:EntityName>"
     "</d:DataManagementPackageEntityData></d:PackageEntityList>"
     "</d:DataManagementPackageManifest>",                                                         "A=;"                                         },
    {"refresh type",
     OPEN "<DataManagementPackageEntityData><DefaultRefreshType>FullPush</DefaultRefreshType>"
          "<EntityName>A</EntityName></DataManagementPackageEntityData>" CLOSE,
     "A=/FullPush;"                                                                                                                              },
    {"disabled",
     OPEN "<DataManagementPackageEntityData><Disable>Yes</Disable>"
          "<EntityName>A</EntityName></DataManagementPackageEntityData>" CLOSE,
     "A=-Yes;"                                                                                                                                   },
    {"no entities",             OPEN CLOSE,                                                        ""                                            },
    {"no namespace",            "<DataManagementPackageManifest/>",                                ""                                            },
    {"another document",        "<html><body/></html>",                                            NULL                                          },
    {"nothing",                 "",                                                                NULL                                          },
    {"cut off",                 OPEN VENDORS,                                                      NULL                                          },
    {"no name",                 OPEN "<DataManagementPackageEntityData/>" CLOSE,                   NULL                                          },
    {"doctype",                 "<!DOCTYPE x [<!ENTITY a \"aaaa\">]>" OPEN VENDORS CLOSE,          NULL                                          },
    {"external entity",         "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">" OPEN CLOSE,           NULL                                          },
};

static void check_manifest(const char *name, const char *bytes, size_t size, const char *list)
{
    struct sl_manifest manifest;
    struct sl_err err = {0};
    int rc = sl_manifest_parse(bytes, size, &manifest, &err);
    if (!list) {
        if (rc != SL_REJECTED || strncmp(err.message, "manifest", 8) != 0)
            fail_msg("%s: %d %s", name, rc, err.message);
        return;
    }
    if (rc != SL_OK)
        fail_msg("%s: %s", name, err.message);
    struct sl_buf out = {0};
    sl_buf_add(&out, "", 0);
    for (uint32_t i = 0; i < manifest.count; i++) {
        const struct sl_manifest_entity *entity = &manifest.entities[i];
        sl_buf_printf(&out, "%s=%s%s%s%s%s;", entity->entity_name, entity->input_file_path,
                      *entity->refresh_type ? "/" : "", entity->refresh_type,
                      *entity->disable ? "-" : "", entity->disable);
    }
    assert_string_equal(out.data, list);
    sl_buf_done(&out);
    sl_manifest_done(&manifest);
}

/* ASCII text as UTF-16LE. */
static void widen(struct sl_buf *out, const char *text)
{
    for (; *text; text++) {
        sl_buf_add_char(out, *text);
        sl_buf_add_char(out, 0);
    }
}

static void test_manifests_in_every_encoding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        const char *xml = manifests[i].xml, *list = manifests[i].list;
        struct sl_buf marked = {0}, wide = {0}, wide_marked = {0};
        sl_buf_add_text(&marked, "\xef\xbb\xbf");
        sl_buf_add_text(&marked, xml);
        widen(&wide, xml);
        sl_buf_add(&wide_marked, "\xff\xfe", 2);
        widen(&wide_marked, xml);
        check_manifest(manifests[i].name, xml, strlen(xml), list);
        check_manifest(manifests[i].name, marked.data, marked.length, list);
        check_manifest(manifests[i].name, wide.data ? wide.data : "", wide.length, list);
        check_manifest(manifests[i].name, wide_marked.data, wide_marked.length, list);
        sl_buf_done(&marked);
        sl_buf_done(&wide);
        sl_buf_done(&wide_marked);
    }
}

static void test_manifests_are_bounded(void **state)
{
    (void)state;
    struct sl_buf xml = {0};
    sl_buf_add_text(&xml, OPEN);
    for (int i = 0; i < SL_MANIFEST_ENTITIES_MAX; i++)
        sl_buf_add_text(&xml, VENDORS);
    size_t length = xml.length;
    sl_buf_add_text(&xml, CLOSE);
    struct sl_manifest manifest;
    struct sl_err err = {0};
    assert_int_equal(sl_manifest_parse(xml.data, xml.length, &manifest, &err), SL_OK);
    assert_int_equal(manifest.count, SL_MANIFEST_ENTITIES_MAX);
    sl_manifest_done(&manifest);
    xml.length = length;
    sl_buf_add_text(&xml, VENDORS CLOSE);
    check_manifest("too many", xml.data, xml.length, NULL);

    sl_buf_clear(&xml);
    sl_buf_add_text(&xml, OPEN "<DataManagementPackageEntityData><EntityName>");
    for (int i = 0; i <= SL_MANIFEST_TEXT_MAX; i++)
        sl_buf_add_char(&xml, 'x');
    sl_buf_add_text(&xml, "</EntityName></DataManagementPackageEntityData>" CLOSE);
    check_manifest("too long", xml.data, xml.length, NULL);

    sl_buf_clear(&xml);
    for (int i = 0; i < 100; i++)
        sl_buf_add_text(&xml, "<DataManagementPackageManifest>");
    check_manifest("too deep", xml.data, xml.length, NULL);
    sl_buf_done(&xml);
}

static void test_damaged_manifests_never_crash(void **state)
{
    (void)state;
    static const char good[] = OPEN VENDORS OTHER CLOSE;
    srand(11);
    for (int round = 0; round < 5000; round++) {
        char *exact = malloc(sizeof good);
        size_t size = rand() % 2 ? sizeof good - 1 : (size_t)rand() % sizeof good;
        memcpy(exact, good, sizeof good);
        for (int flips = rand() % 5; flips; flips--)
            exact[(size_t)rand() % sizeof good] = "<>/&;\"\0\xff x!["[rand() % 12];
        struct sl_manifest manifest;
        struct sl_err err = {0};
        if (sl_manifest_parse(exact, size, &manifest, &err) == SL_OK)
            sl_manifest_done(&manifest);
        else
            assert_memory_equal(err.message, "manifest", 8);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf16_at_every_chunk_and_room),
        cmocka_unit_test(test_encodings_are_told_from_the_first_bytes),
        cmocka_unit_test(test_manifests_in_every_encoding),
        cmocka_unit_test(test_manifests_are_bounded),
        cmocka_unit_test(test_damaged_manifests_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
