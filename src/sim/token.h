/* The token endpoint and the bearer tokens. A token is opaque text that carries its serial, its
 * end, its client and a check over them: nothing needs to be kept. The simulator's lock is held for
 * all calls. */
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

/* Real tokens have about this length; a client's buffers should meet it here. */
#define SIM_TOKEN_BYTES 1400

/* The place of a client id in the options; -1 for an unknown one. */
int sim_token_find_client(const struct sim *sim, const char *id);

/* Makes a token of that client, which lives so long. */
void sim_token_issue(struct sim *sim, unsigned client, int64_t seconds,
                     char out[SIM_TOKEN_BYTES + 1]);

/* Answers: adds the JSON body to out and returns the HTTP status. */
unsigned sim_token_answer(struct sim *sim, const struct sim_token_request *request,
                          struct sim_text *out);

/* The client id, by its place in the options, whose token header ("Bearer …", NULL for none) holds;
 * -1 when it is no token that is valid now. */
int sim_token_client(struct sim *sim, const char *header);

/* True when header holds a valid token. */
bool sim_token_is_valid(struct sim *sim, const char *header);

/* Counts a request whose token (NULL: none) was given by somebody else and never belongs here. */
void sim_token_note_stranger(struct sim *sim, const char *header);

#endif
