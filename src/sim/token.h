/* The token endpoint and the bearer tokens. A token is opaque text that carries its serial, its end
 * and a check over both: nothing needs to be kept. The simulator's lock is held for all calls. */
#ifndef SIM_TOKEN_H
#define SIM_TOKEN_H

#include "sim/sim.h"

/* What is asked of the token endpoint: tenant from the path, form the body. authority is the Host
 * header. */
struct sim_token_request {
    const char *tenant;
    const char *authority;
    const char *form;
    size_t form_len;
};

/* Answers: adds the JSON body to out and returns the HTTP status. */
unsigned sim_token_answer(struct sim *sim, const struct sim_token_request *request,
                          struct sim_text *out);

/* True when header ("Bearer …", NULL for none) holds a token that is valid now. */
bool sim_token_is_valid(struct sim *sim, const char *header);

#endif
