/* Does each source let sluice in, and answer? */
#include "cli/doctor.h"
#include "source/dataverse_settings.h"
#include "source/dmf_settings.h"

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
