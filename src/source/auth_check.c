#include "source/auth_check.h"

#include <unistd.h>

#include "base/clock.h"
#include "config/check.h"
#include "config/problems.h"
#include "config/secret_file.h"
#include "config/shape.h"
#include "http/identity.h"
#include "http/oauth_settings.h"
#include "source/auth_settings.h"

/* The "auth" of a source that signs in somewhere, or NULL. */
static const struct sl_auth_settings *auth_of(const struct sl_source_config *source)
{
    if (!source->settings || !source->type->auth)
        return NULL;
    return source->type->auth(source->settings);
}

void sl_auth_check(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_source_config *source = &config->sources[i];
        const struct sl_auth_settings *auth = auth_of(source);
        struct sl_json_place at = sl_config_place(source->json, "auth.endpoint", 0);
        struct sl_err err;
        if (auth && auth->type == SL_OAUTH_IDENTITY && auth->endpoint &&
            sl_identity_check(auth->endpoint, &err) != SL_OK)
            sl_problem_error(problems, at.line, at.column, "sources.%s.%s", source->name,
                             err.message);
    }
}

/* --- files --- */

static void doubt(const struct sl_source_config *source, const char *path, const char *file,
                  struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(source->json, path, 0);
    char text[SL_DOUBT_BYTES];
    if (sl_secret_file_doubt(file, text))
        sl_problem_warning(problems, at.line, at.column, "sources.%s.%s: %s", source->name, path,
                           text);
}

static void try_certificate(const struct sl_source_config *source,
                            const struct sl_auth_settings *auth, struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(source->json, "auth.certificate_file", 0);
    struct sl_signer *signer = NULL;
    struct sl_err err;
    if (sl_signer_load(auth->certificate_file, auth->key_file, &signer, &err) != SL_OK)
        sl_problem_error(problems, at.line, at.column, "sources.%s.auth: %s", source->name,
                         err.message);
    else if (sl_signer_check_time(signer, sl_wall_ms(), &err) != SL_OK)
        sl_problem_warning(problems, at.line, at.column, "sources.%s.auth: %s", source->name,
                           err.message);
    sl_signer_free(signer);
    if (auth->key_file)
        doubt(source, "auth.key_file", auth->key_file, problems);
    else
        doubt(source, "auth.certificate_file", auth->certificate_file, problems);
}

static void try_token(const struct sl_source_config *source, const char *file,
                      struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(source->json, "auth.token_file", 0);
    if (access(file, R_OK) != 0)
        sl_problem_warning(
            problems, at.line, at.column,
            "sources.%s.auth.token_file: \"%s\" cannot be read now; the source waits "
            "for it",
            source->name, file);
    doubt(source, "auth.token_file", file, problems);
}

void sl_auth_try_files(const struct sl_source_config *source, struct sl_problems *problems)
{
    const struct sl_auth_settings *auth = auth_of(source);
    if (!auth)
        return;
    if (auth->type == SL_OAUTH_CERTIFICATE && auth->certificate_file)
        try_certificate(source, auth, problems);
    else if (auth->type == SL_OAUTH_FEDERATED && auth->token_file)
        try_token(source, auth->token_file, problems);
}
