/* What a client may sign in by besides its secret: certificates and a federated token, set by a
 * control call; and the assertions that were used. The simulator's lock is held for all calls. */
#ifndef SIM_CREDENTIALS_H
#define SIM_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_CERTIFICATES_MAX 8
#define SIM_ASSERTIONS_KEPT 1024

struct x509_st; /* OpenSSL's X509 */
struct sim_call;

struct sim_credentials {
    struct x509_st *certificates[SIM_CERTIFICATES_MAX];
    size_t certificate_count;
    char *federated_token;              /* NULL: none */
    uint64_t used[SIM_ASSERTIONS_KEPT]; /* hashes of their ids; a ring */
    size_t used_count;
};

/* POST /_sim/credentials {"certificates":[PEM, …], "federated_token":"…"}: each member that is
 * there replaces what was. */
unsigned sim_control_credentials(struct sim_call *call);

/* The certificate whose DER has that hash of SHA-256 (32 bytes) or SHA-1 (20); NULL: not
 * registered. */
struct x509_st *sim_credentials_find(const struct sim_credentials *credentials,
                                     const unsigned char *hash, size_t hash_len);

/* Notes that the assertion of that id was used. False when it was before. */
bool sim_credentials_use(struct sim_credentials *credentials, const char *id);

/* Forgets all. */
void sim_credentials_clear(struct sim_credentials *credentials);

#endif
