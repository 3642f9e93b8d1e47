/* Can sluice listen where it is told to, and can the certificates there be used? */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/doctor.h"
#include "http/server.h"
#include "loop/fiber.h"
#include "source/listen_settings.h"

/* Listens for a moment. */
static void examine(struct sl_doctor *doctor, const char *address, const struct sl_listen_tls *tls)
{
    const struct sl_http_server_options options = {
        .listen = address,
        .certificate = tls ? tls->certificate : NULL,
        .key = tls ? tls->key : NULL,
    };
    struct sl_err err = {0};
    char what[SL_DOCTOR_WHAT_BYTES];
    snprintf(what, sizeof what, "listener '%s'", address);
    struct sl_http_server *server = sl_http_server_start(&options, &err);
    if (server)
        sl_doctor_say(doctor, SL_DOCTOR_OK, what, NULL, "the address is free%s",
                      options.certificate ? ", and the certificate can be used" : "");
    else if (err.cause == EADDRINUSE)
        sl_doctor_say(doctor, SL_DOCTOR_WARN, what,
                      "in order when sluice is running already, else choose another", "%s",
                      err.message);
    else
        sl_doctor_say(doctor, SL_DOCTOR_FAIL, what, NULL, "%s", err.message);
    sl_http_server_stop(server, sl_deadline_in(0));
}

/* Sources may share an address. */
static bool seen_before(const struct sl_config *config, size_t source, const char *address)
{
    for (size_t i = 0; i < source; i++) {
        const struct sl_listen_settings *other = sl_listen_of(&config->sources[i]);
        if (other && !strcmp(other->address, address))
            return true;
    }
    return false;
}

void sl_doctor_listeners(struct sl_doctor *doctor)
{
    const char *ops = doctor->settings->ops.listen;
    if (ops && *ops)
        examine(doctor, ops, NULL);
    for (size_t i = 0; sl_config_ingests(doctor->config) && i < doctor->config->source_count; i++) {
        const struct sl_listen_settings *own = sl_listen_of(&doctor->config->sources[i]);
        struct sl_listen_settings shared;
        if (!own || seen_before(doctor->config, i, own->address))
            continue;
        sl_listen_share(doctor->config, own->address, &shared);
        examine(doctor, own->address, &shared.tls);
    }
}
