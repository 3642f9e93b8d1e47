/* Client assertions at the token endpoint: JWTs that a registered certificate has signed, and the
 * federated token. Shares no code with what makes them in sluice. */
#ifndef SIM_ASSERTION_H
#define SIM_ASSERTION_H

#include "sim/token.h"

/* 0, or the AADSTS code of what is wrong with the assertion of that client id. One that is right
 * has been used then. The simulator's lock is held. */
int sim_assertion_check(struct sim *sim, const struct sim_token_request *request,
                        const char *client, const char *assertion);

#endif
