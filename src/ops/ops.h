/* The ops listener: /healthz, /readyz, /metrics and /status. It answers and changes nothing: every
 * method but GET and HEAD is refused. With a token, /metrics, /status and the reasons of /readyz
 * are for those who show it as "Authorization: Bearer". */
#ifndef SL_OPS_OPS_H
#define SL_OPS_OPS_H

#include <stdint.h>

#include "base/err.h"
#include "base/setting.h"
#include "ops/ready.h"
#include "ops/status.h"

/* The section "ops" of the configuration. */
struct sl_ops_settings {
    char *listen; /* "host:port"; NULL or "": no listener */
    char *token;  /* secret; shown by who reads more than that sluice lives; NULL: nobody need */
};
extern const struct sl_setting sl_ops_table[];

struct sl_ops;

/* Starts to listen. Does not suspend. Copies settings and about. Returns NULL with SL_CONFIG when
 * the address is taken; with no listen setting it gives an object without a listener. */
struct sl_ops *sl_ops_start(const struct sl_ops_settings *settings, const struct sl_about *about,
                            struct sl_err *err);

/* The port it listens on; 0: none. */
uint16_t sl_ops_port(const struct sl_ops *ops);

/* The loop must turn once more to let go of the handles. NULL is fine. */
void sl_ops_stop(struct sl_ops *ops);

#endif
