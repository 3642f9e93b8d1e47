/* All series of base/metric.h in the Prometheus text format 0.0.4, names prefixed by "sluice_", and
 * the usual process_* series. */
#ifndef SL_OPS_PROMETHEUS_H
#define SL_OPS_PROMETHEUS_H

#include "base/str.h"

/* Adds the series of base/metric.h. Histograms come in seconds. */
void sl_prometheus_metrics(struct sl_buf *buf);

/* Adds process_resident_memory_bytes, process_cpu_seconds_total, process_open_fds, process_max_fds
 * and process_start_time_seconds. */
void sl_prometheus_process(struct sl_buf *buf);

#endif
