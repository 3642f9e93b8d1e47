/* Does each source let sluice in, and answer? */
#include <stdio.h>

#include "cli/doctor.h"
#include "dataverse/settings.h"
#include "dmf/settings.h"
#include "source/auth.h"

bool sl_doctor_signs_in(struct sl_doctor *doctor, const struct sl_source_config *source,
                        struct sl_oauth *oauth, const struct sl_auth_settings *auth)
{
    struct sl_err err = {0};
    const char *token;
    char what[SL_DOCTOR_WHAT_BYTES];
    snprintf(what, sizeof what, "source '%s' token", source->name);
    int rc = sl_oauth_token(oauth, &token, &err);
    if (!sl_doctor_works(doctor, rc, &err, what, sl_auth_advice(auth)))
        return false;
    sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "issued");
    return true;
}

void sl_doctor_sources(struct sl_doctor *doctor)
{
    for (size_t i = 0; i < doctor->config->source_count; i++) {
        const struct sl_source_config *source = &doctor->config->sources[i];
        if (source->type == &sl_dmf_config_type)
            sl_doctor_dmf(doctor, source);
        else if (source->type == &sl_dataverse_config_type)
            sl_doctor_dataverse(doctor, source);
    }
}
