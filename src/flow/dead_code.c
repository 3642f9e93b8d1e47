#include "flow/dead_code.h"

#include <stddef.h>
#include <string.h>

const struct sl_dead_code sl_dead_codes[] = {
    {.code = "untypable",
     .meaning =
         "a cell does not read as the column's type; the reason names column, type and value", .by = "source",
     .advice = "correct the type in the configuration, then replay; or correct the value"},
    {.code = "bad_utf8",
     .meaning = "a text or a key is not valid UTF-8",
     .by = "source",
     .advice = "set file_encoding, or use a Unicode format in the data project; then read again"},
    {.code = "empty_key",
     .meaning = "a part of the key is empty",
     .by = "source",
     .advice = "choose key columns that are always filled, then replay"},
    {.code = "wrong_columns",
     .meaning = "the row has more or fewer cells than the header",
     .by = "source",
     .advice = "turn on the text qualifier in the data project; look at the row"},
    {.code = "too_large",
     .meaning = "the row is larger than limits.max_row (4 MiB), or than a document of MongoDB's "
                "can be (16 MiB); the reason tells", .by = "source, sink",
     .advice = "leave the column out, or raise limits.max_row where that was the limit; then read "
               "again"},
    {.code = "unclosed_quote",
     .meaning = "the file ends inside the quotes that this row opened",
     .by = "source",
     .advice = "look at the row; what stands behind it in the file is in it: read again"},
    {.code = "bad_quotes",
     .meaning = "text follows a closing quote: a cell's quotes are not doubled, or the text "
                "qualifier is off; rows behind it in the file may be in this one", .by = "source",
     .advice = "turn on the text qualifier in the data project; look at the row; then read again"},
    {.code = "no_version",
     .meaning = "the row came without a row version (etag), which decides what is newer",
     .by = "source",
     .advice = "look at the row in the Web API"},
    {.code = "bad_version",
     .meaning = "the row's version (etag) is larger than any that Dataverse can have reached",
     .by = "source",
     .advice = "look at the row in the Web API, and at what stands between"},
    {.code = "read_back",
     .meaning = "Dataverse refuses to tell of the row that an event named, or too many of its "
                "table wait already for somebody to allow it", .by = "source",
     .advice = "mend what the reason says, then touch the row, so that another event comes"},
    {.code = "reserved_column",
     .meaning = "a column is named _id or _sluice",
     .by = "sink",
     .advice = "rename it in the data project"},
    {.code = "malformed",
     .meaning = "the row's document is not BSON: a producer other than sluice wrote the message",
     .by = "sink",
     .advice = "mend the producer"},
    {.code = "refused",
     .meaning = "MongoDB refused the row: a unique index, a validator, a stored version that is no "
                "number", .by = "sink",
     .advice = "the reason is the server's: remove it, then replay; a validator must let "
               "tombstones be, sluice doctor tells"},
    {.code = "too_old",
     .meaning =
         "the row lay in a queue, or among the letters, for so long that deletions newer than "
         "it may be forgotten", .by = "sink",
     .advice = "read the source again"},
    {.code = "unreadable",
     .meaning = "a message that is no batch, or of a feed that no applier seemed to know",
     .by = "queue",
     .advice = "mend the producer, or the applier's configuration; then replay, or drop it"},
    {0                                                                       },
};

const struct sl_dead_code *sl_dead_code_find(const char *code)
{
    for (const struct sl_dead_code *one = sl_dead_codes; one->code; one++)
        if (!strcmp(one->code, code))
            return one;
    return NULL;
}
