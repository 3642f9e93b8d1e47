"""A server away for long, as one sluice sees it: what it says of itself meanwhile, and what it needs."""

import pathlib
import time

from process import wait_until
from readiness import troubles, wait_trouble

NOTICED_S = 30      # /readyz names who is missing
LOOK_EVERY_S = 2
RETURN_S = 120      # ready again after the server has returned
RSS_MORE_MIB = 16
CPU_SHARE = 0.02    # of one core
LOG_LINES = 60      # all of them together, however long the outage is
LATE_LOG_LINES = 4  # in its second half: nothing is said again and again


class Outage:
    """Begins when it is made, just before the server goes. who: its name in /readyz."""

    def __init__(self, sluice, who, seconds):
        self.sluice, self.who = sluice, who
        self.began = time.monotonic()
        self.seconds = seconds
        self.pid = sluice.pid
        self.cpu_s = sluice.cpu_s()
        self.rss_mib = sluice.rss_mib()
        self.peak_mib = None
        self.cpu_share = None
        self.back_after_s = None
        self.lines = self._count_lines()
        self.late_lines = None
        _reset_peak(self.pid)

    def watch(self):
        """Until the time is up, /readyz must name who is missing whenever it is asked."""
        wait_trouble(self.sluice, self.who, timeout_s=NOTICED_S)
        at_half = None
        while time.monotonic() < self.began + self.seconds:
            found = troubles(self.sluice)
            assert found.get(self.who), f"/readyz does not name {self.who}: {found}"
            assert self.sluice.ops("/healthz")[0] == 200
            if at_half is None and time.monotonic() > self.began + self.seconds / 2:
                at_half = self._count_lines()
            time.sleep(LOOK_EVERY_S)
        lines = self._count_lines()
        self.late_lines = lines - at_half
        self.lines = lines - self.lines
        self.peak_mib = self.sluice.peak_rss_mib()
        self.cpu_share = (self.sluice.cpu_s() - self.cpu_s) / (time.monotonic() - self.began)

    def wait_return(self):
        """After the server has returned."""
        began = time.monotonic()
        wait_until(self.sluice.ready, RETURN_S, "sluice being ready again")
        self.back_after_s = time.monotonic() - began

    def summary(self):
        return (f"away {self.seconds / 60:g} min, ready {self.back_after_s:.1f} s after the return, "
                f"rss {self.rss_mib:.1f} MiB and {self.peak_mib:.1f} at most, "
                f"cpu {100 * self.cpu_share:.2f} %, log lines {self.lines}, "
                f"of them {self.late_lines} in the second half")

    def check(self):
        assert self.sluice.pid == self.pid and self.sluice.running(), "it was restarted"
        assert self.peak_mib <= self.rss_mib + RSS_MORE_MIB, self.summary()
        assert self.cpu_share <= CPU_SHARE, self.summary()
        assert self.lines <= LOG_LINES, self.summary()
        assert self.late_lines <= LATE_LOG_LINES, self.summary()

    def _count_lines(self):
        with open(self.sluice.log_path, "rb") as log:
            return sum(1 for _ in log)


def _reset_peak(pid):
    """From here on the kernel's VmHWM is the peak since now."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
