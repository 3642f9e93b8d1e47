/* Does each source let sluice in, and answer? */
#include <stdio.h>

#include "cli/doctor.h"
#include "source/auth.h"
#include "source/dataverse_settings.h"
#include "source/dmf_api.h"

#define AWAY "is the source's url right, and can this machine reach it?"

/* An execution that cannot exist is asked for: the environment's way of not knowing it shows that
 * the login reaches the data management API. */
static int knows_no_such_execution(struct sl_dmf_remote *remote, struct sl_err *err)
{
    enum sl_dmf_status status;
    int rc = sl_dmf_status(remote, "sluice-doctor-asks-whether-you-answer", &status, err);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

static void examine_dmf(struct sl_doctor *doctor, const struct sl_source_config *source)
{
    struct sl_dmf_source_settings settings =
        *(const struct sl_dmf_source_settings *)source->settings;
    struct sl_dmf_remote remote;
    struct sl_err err = {0};
    const char *token;
    char what[SL_DOCTOR_WHAT_BYTES];
    if (settings.request_timeout_ms > SL_DOCTOR_REQUEST_MS)
        settings.request_timeout_ms = SL_DOCTOR_REQUEST_MS;

    snprintf(what, sizeof what, "source '%s' token", source->name);
    int rc = sl_dmf_remote_init(&remote, doctor->http, source->name, &settings, &err);
    if (!sl_doctor_works(doctor, rc, &err, what, NULL))
        return;
    rc = sl_oauth_token(remote.oauth, &token, &err);
    if (sl_doctor_works(doctor, rc, &err, what, sl_auth_advice(&settings.auth))) {
        sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "issued");
        snprintf(what, sizeof what, "source '%s'", source->name);
        rc = knows_no_such_execution(&remote, &err);
        if (sl_doctor_works(doctor, rc, &err, what, AWAY))
            sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "the data management API answers");
    }
    sl_dmf_remote_done(&remote);
}

void sl_doctor_sources(struct sl_doctor *doctor)
{
    for (size_t i = 0; i < doctor->config->source_count; i++) {
        const struct sl_source_config *source = &doctor->config->sources[i];
        if (source->type == &sl_dmf_config_type)
            examine_dmf(doctor, source);
        else if (source->type == &sl_dataverse_config_type)
            sl_doctor_dataverse(doctor, source);
    }
}
