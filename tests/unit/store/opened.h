/* For tests of the store: one on the server that all tests share. */
#ifndef SL_TEST_STORE_OPENED_H
#define SL_TEST_STORE_OPENED_H

#include "mongo/live.h"

#include "store/store.h"

/* The caller closes it. */
static inline struct sl_state *open_store(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_mongo_settings settings = live_settings();
    struct sl_state *state = sl_store_new(mongo, &settings, &err);
    EXPECT(state != NULL);
    return state;
}

#endif
