/* Messages in BSON, from a queue that strangers may write to. */
#include "fuzz_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_message(SL_CONTENT_BSON, data, size);
    return 0;
}
