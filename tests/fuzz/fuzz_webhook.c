/* Posts of Dataverse: whoever knows the listener's address may send these bytes, once the secret is
 * right. Ids that come out are GUIDs in lower case. */
#include "webhook/event.h"

#include "fuzz.h"

static void check_row(const struct sl_webhook_row *row)
{
    FUZZ_REQUIRE(strlen(row->id) == SL_GUID_BYTES - 1);
    FUZZ_REQUIRE(strspn(row->id, "0123456789abcdef-") == SL_GUID_BYTES - 1);
    FUZZ_REQUIRE(memchr(row->table, 0, SL_TABLE_NAME_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t choice = fuzz_byte(&input);
    struct sl_webhook_hints hints = {.table = choice & 1 ? "account" : NULL,
                                     .message = choice & 2 ? "Update" : NULL,
                                     .size_exceeded = choice & 4 ? "true" : NULL};
    struct sl_webhook_event event;
    struct sl_err err = {0};
    char *exact = sl_alloc(input.left ? input.left : 1);
    memcpy(exact, input.at, input.left);
    int rc = sl_webhook_event_read((struct sl_str){exact, input.left}, &hints, &event, &err);
    free(exact);
    if (rc != SL_OK) {
        FUZZ_REQUIRE(rc == SL_REJECTED && *err.message);
        return 0;
    }
    for (uint32_t i = 0; i < event.row_count; i++)
        check_row(&event.rows[i]);
    sl_webhook_event_done(&event);
    return 0;
}
