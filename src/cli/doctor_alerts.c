/* Can those be told who are to be told of alerts? Nothing is sent. */
#include <stdio.h>

#include "cli/doctor.h"

static void examine(struct sl_doctor *doctor, const struct sl_alert_targets *targets,
                    unsigned target)
{
    char what[SL_DOCTOR_WHAT_BYTES];
    struct sl_err err = {0};
    snprintf(what, sizeof what, "alerts by %s", sl_alert_target_name(target));
    int rc = sl_alert_target_probe(doctor->http, targets, target, &err);
    if (sl_doctor_works(doctor, rc, &err, what, "can this machine reach it?"))
        sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL,
                      "it answers; sluice alert test sends a message");
}

void sl_doctor_alerts(struct sl_doctor *doctor)
{
    const struct sl_alert_targets targets = sl_alert_targets_of(&doctor->settings->alerts);
    for (unsigned i = 0; i < SL_ALERT_TARGETS; i++)
        if (sl_alert_target_wanted(&targets, i))
            examine(doctor, &targets, i);
}
