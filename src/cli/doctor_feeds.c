/* How did the last run of each feed end that did? */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include "mongo/client.h"
#include "store/store.h"

static void examine(struct sl_doctor *doctor, struct sl_state *state, const char *feed)
{
    char what[SL_DOCTOR_WHAT_BYTES], ended[SL_ISO_BYTES];
    struct sl_err err = {0};
    struct sl_run *run = SL_NEW(struct sl_run);
    snprintf(what, sizeof what, "feed '%s' runs", feed);
    int rc = state->type->run_ended(state, feed, run, &err);
    if (rc != SL_NOTFOUND && sl_doctor_works(doctor, rc, &err, what, NULL) && run->error[0]) {
        sl_iso_format(run->state_ms, ended);
        sl_doctor_say(doctor, SL_DOCTOR_WARN, what, "sluice status tells how it goes on",
                      "the last one that ended, %s at %s, %s: %s", run->id, ended,
                      run->state == SL_RUN_FAILED ? "failed" : "did not bring all", run->error);
    }
    free(run);
}

void sl_doctor_feeds(struct sl_doctor *doctor)
{
    struct sl_err err = {0};
    struct sl_mongo *mongo = sl_mongo_new(&doctor->settings->mongo, &err);
    struct sl_state *state = mongo ? sl_store_new(mongo, &doctor->settings->mongo, &err) : NULL;
    for (size_t i = 0; state && i < doctor->config->feed_count; i++)
        examine(doctor, state, doctor->config->feeds[i].name);
    if (state)
        state->type->close(state);
    else
        sl_doctor_works(doctor, (int)err.code, &err, "feeds", NULL);
    sl_mongo_free(mongo);
}
