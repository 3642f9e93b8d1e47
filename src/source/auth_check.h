/* What is wrong with the "auth" of a source, before anybody is asked for a token. */
#ifndef SL_SOURCE_AUTH_CHECK_H
#define SL_SOURCE_AUTH_CHECK_H

#include "config/config.h"

/* Notes where a token would be asked for that it must not be. */
void sl_auth_check(const struct sl_config *config, struct sl_problems *problems);

/* Notes what is wrong with the files that a source signs in by: as errors a certificate and a key
 * that cannot be used together; as warnings what may be put right without a restart (a certificate
 * that is not valid now, a token that is not there yet) and who else may read them. Reads them. */
void sl_auth_try_files(const struct sl_source_config *source, struct sl_problems *problems);

#endif
