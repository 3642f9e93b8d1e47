/* What a test looks at of http/oauth. */
#ifndef SL_TEST_HTTP_TOKENS_H
#define SL_TEST_HTTP_TOKENS_H

#include "http/harness.h"
#include "http/oauth.h"

/* Suspends. It gives this token now. */
static inline void expect_token(struct sl_oauth *oauth, const char *wanted)
{
    const char *token = NULL;
    struct sl_err err = {0};
    int rc = sl_oauth_token(oauth, &token, &err);
    if (rc != SL_OK)
        fprintf(stderr, "%s\n", err.message);
    EXPECT_INT(rc, SL_OK);
    EXPECT_TEXT(token, wanted);
}

#endif
