"""Times every change of the Dataverse table: from the moment when Dynamics 365 made it to that when a
reader of MongoDB sees it.

The reader is a change stream, which shows what a majority of the replica set has; nothing of sluice
is asked. The simulator tells when it made which change. Both clocks are this machine's.
"""

import collections
import json
import threading
import time

import data

AWAIT_MS = 100  # the longest that the stream sleeps in a row, so that stop() need not wait
RECENT = 6      # changes shown
KEPT = 10_000   # times from which quantiles are made


class Lag:
    """start() ... take() now and then ... stop(). seen_ms has a number a change seen lately."""

    def __init__(self, world):
        self.world = world
        self.seen_ms = collections.deque(maxlen=KEPT)
        self.recent = collections.deque(maxlen=RECENT)  # (what, whose, ms), the newest first
        self.counts = collections.Counter()             # by what was done
        self._names = {}
        self._waiting = collections.defaultdict(list)   # by id: changes not seen yet, oldest first
        self._next_seq = 1
        self._shown = collections.deque()               # by the stream: (time in ms, document)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lag", daemon=True)
        self._stream = None

    def start(self):
        """Whatever is changed after this is timed."""
        self._next_seq = 1 + self.world.sim.get("stats")["dataverse"]["changes"]
        self._stream = self.world.documents[data.ACCOUNTS].watch(
            [{"$project": {"operationType": 1, "fullDocument._id": 1, "fullDocument._sluice": 1,
                           "fullDocument.name": 1}}],
            full_document="updateLookup", max_await_time_ms=AWAIT_MS)
        self._thread.start()

    def take(self):
        """Puts what was made and what was seen together. Call it every now and then."""
        shown = [self._shown.popleft() for _ in range(len(self._shown))]
        for line in self.world.sim.lines(f"dv/changes?from={self._next_seq}"):
            change = json.loads(line)
            self._waiting[change["id"]].append(change)
            self._next_seq = change["seq"] + 1
        for at_ms, document in shown:
            self._settle(at_ms, document)

    def stop(self):
        self._over.set()
        self._thread.join()
        self.take()

    def quantile(self, share):
        """Milliseconds; None while nothing was seen."""
        ordered = sorted(self.seen_ms)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None

    def _watch(self):
        try:
            while not self._over.is_set():
                event = self._stream.try_next()
                if event and event.get("fullDocument"):
                    self._shown.append((1000 * time.time(), event["fullDocument"]))
            self._stream.close()
        except Exception:  # the world ended under it; whoever waits for the world tells why
            return

    def _settle(self, at_ms, document):
        """A document shows its newest change, and with it those before that it has overtaken."""
        waiting, stored = self._waiting[document["_id"]], document["_sluice"]
        self._names[document["_id"]] = document.get("name") or self._names.get(document["_id"])
        if "deleted" in stored:  # its version does not tell which deletion it was: the first
            seen = next((i + 1 for i, one in enumerate(waiting) if one["op"] == "delete"), 0)
        else:
            seen = sum(2 * one["versionnumber"] <= stored["v"] for one in waiting)
        for change in waiting[:seen]:
            self._note(change, at_ms - change["at_ms"])
        del waiting[:seen]

    def _note(self, change, ms):
        self.seen_ms.append(ms)
        self.counts[change["op"]] += 1
        whose = self._names.get(change["id"]) or change["id"]
        self.recent.appendleft((change["op"], whose, ms))
