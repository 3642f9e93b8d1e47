/* What the fake broker waits for and says: to log in, to open a channel, to consume. */
#ifndef FAKE_METHODS_H
#define FAKE_METHODS_H

#include "broker/fake_broker.h"

#define START                                                                                      \
    METHOD(0, "\0\x0A\0\x0A\0\x09\0\0\0\x0F\x07version"                                            \
              "S\0\0\0\x02"                                                                        \
              "9a\0\0\0\x05PLAIN\0\0\0\x05"                                                        \
              "en_US")
#define TUNE METHOD(0, "\0\x0A\0\x1E\0\0\0\x02\0\0\0\0")
#define START_OK WAIT(0x000A000B)
#define OPEN WAIT(0x000A0028)
#define OPEN_OK METHOD(0, "\0\x0A\0\x29\0")
#define CHANNEL_OPEN WAIT(0x0014000A)
#define CHANNEL_OPEN_OK METHOD(1, "\0\x14\0\x0B\0\0\0\0")
#define CONFIRM WAIT(0x0055000A)
#define CONFIRM_OK METHOD(1, "\0\x55\0\x0B")
#define PUBLISH WAIT(0x003C0028)
#define CONSUME WAIT(0x003C0014)
#define CONSUME_OK METHOD(1, "\0\x3C\0\x15\x06sluice")
#define DELIVER METHOD(1, "\0\x3C\0\x3C\x06sluice\0\0\0\0\0\0\0\x07\x01\x01x\x01k")

static const struct step log_in[] = {START, START_OK, TUNE, OPEN, OPEN_OK, {0}};
static const struct step open_channel[] = {CHANNEL_OPEN, CHANNEL_OPEN_OK, {0}};
static const struct step consuming[] = {CONSUME, CONSUME_OK, {0}};

#endif
