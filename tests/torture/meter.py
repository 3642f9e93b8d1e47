"""Sums a counter over processes that are killed, and their counts with them: so it is a lower bound."""

import collections
import http.client
import threading

from metrics import Metrics

EVERY_S = 0.5
PATIENCE_S = 2  # a process may be paused


class Meter:
    """A thread that reads a metric of these sluices again and again, by the values of one label."""

    def __init__(self, sluices, name, label):
        self.sluices, self.name, self.label = sluices, name, label
        self.sums = collections.Counter()
        self._last = {}  # {(sluice, value of the label): number}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self):
        """Reads a last time; gives {value of the label: sum}."""
        self._stop.set()
        self._thread.join()
        self._read_all()
        return self.sums

    def _run(self):
        while not self._stop.wait(EVERY_S):
            self._read_all()

    def _read_all(self):
        for name, sluice in self.sluices.items():
            try:
                _, text = sluice.ops("/metrics", timeout_s=PATIENCE_S)
            except (OSError, http.client.HTTPException):
                continue  # it is down, or paused
            for labels, number in Metrics(text).all(self.name):
                self._count((name, labels[self.label]), int(number))

    def _count(self, series, number):
        last = self._last.get(series, 0)
        self._last[series] = number
        self.sums[series[1]] += number - last if number >= last else number  # less: it began anew
