"""Who used the CPUs during a round: the servers, and programs that have no part in it."""

import os
import pathlib
import resource
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def ended_cpu_s():
    """CPU seconds of all children that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Meter:
    """Counts from its making until stop(). servers is {name: Process}."""

    def __init__(self, servers):
        self._servers = servers
        self._begin = self._now()

    def stop(self, measured_cpu_s):
        """({server: CPU seconds}, share of the whole machine that others took, 0 to 1).

        Stolen time, when a virtual machine's CPUs were given to another, counts as others'.
        """
        end = self._now()
        used, busy_s, all_s, own_s = ({name: end[0][name] - self._begin[0][name] for name in end[0]},
                                      *(end[i] - self._begin[i] for i in (1, 2, 3)))
        others_s = busy_s - sum(used.values()) - own_s - measured_cpu_s
        return used, min(max(others_s / all_s, 0.0), 1.0) if all_s > 0 else 0.0

    def _now(self):
        fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, idle, wait, irq, softirq, steal = map(int, fields)
        busy = user + nice + system + irq + softirq + steal
        return ({name: server.cpu_s() for name, server in self._servers.items()},
                busy / TICKS_PER_S, (busy + idle + wait) / TICKS_PER_S, time.process_time())
