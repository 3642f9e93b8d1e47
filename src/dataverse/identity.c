/* Whether the environment is still the one that was read. Version numbers of two do not compare: of
 * one that counts from below nothing would win over what is stored, and what is younger would be
 * swept. Its organisation's id is kept with the marks; one that is not known yet is taken as it is.
 */
#include "dataverse/dataverse_own.h"

enum { AGAIN_MS = 2000 }; /* a reset may be asked for meanwhile */

static int ask(struct sl_dataverse *dataverse, struct sl_err *err)
{
    if (dataverse->identified)
        return SL_OK;
    int rc = sl_dataverse_who_am_i(&dataverse->remote, err);
    if (rc != SL_OK && rc != SL_CANCELED && sl_dataverse_reach_is_refused(err))
        rc = SL_OK;
    dataverse->identified = rc == SL_OK;
    return rc;
}

int sl_dv_identify(struct sl_dataverse *dataverse, struct sl_err *err)
{
    if (dataverse->identified)
        return SL_OK;
    int rc = sl_mutex_lock(&dataverse->identifying, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    rc = ask(dataverse, err);
    sl_mutex_unlock(&dataverse->identifying);
    return rc;
}

void sl_dv_doubt_identity(struct sl_dataverse *dataverse)
{
    dataverse->identified = false;
    sl_dataverse_who_again(&dataverse->remote);
}

static int refuse(const struct sl_dv_feed *feed, struct sl_err *err)
{
    const char *source = feed->dataverse->config->name;
    sl_err_set(err, SL_CONFIG,
               "source '%s' was organisation %s, and is %s now: correct its url; if that is meant: "
               "sluice refresh %s --reset-versions --confirm %s",
               source, feed->counter->organisation, feed->dataverse->remote.organisation,
               feed->config->name, source);
    err->retry_after_ms = AGAIN_MS;
    return SL_CONFIG;
}

int sl_dv_check_identity(struct sl_dv_feed *feed, struct sl_err *err)
{
    int rc = sl_dv_identify(feed->dataverse, err);
    if (rc != SL_OK)
        return rc;
    if (sl_dv_counter_is_anothers(feed->counter)) {
        rc = refuse(feed, err);
        return sl_dv_reset_waits(feed, err->message) ? SL_OK : rc;
    }
    return feed->counter->organisation[0] ? SL_OK : sl_dv_counter_sign(feed->counter, err);
}
