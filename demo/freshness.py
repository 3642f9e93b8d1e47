"""Times single changes from Dynamics 365 to MongoDB, as an application would see them.

A thread changes one record of each entity in turn, then looks into MongoDB until the change is there.
It pauses for a random while before the next, or every change would come just after an export.
"""

import itertools
import random
import threading
import time

import data

LOOK_EVERY_S = 0.01
GIVE_UP_S = 60


class Freshness:
    """start() ... stop(); seconds holds one number a change that was seen to arrive."""

    def __init__(self, world, pause_s):
        self.world = world
        self.pause_s = pause_s  # on average
        self.seconds = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="freshness", daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        self._over.set()
        self._thread.join()

    def quantile(self, share):
        """Seconds; None while nothing was measured."""
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None

    def _run(self):
        try:
            for entity in itertools.cycle(data.ENTITIES):
                if self._over.wait(random.uniform(0, 2 * self.pause_s)):
                    return
                took_s = self._time_one(entity)
                if took_s is not None:
                    self.seconds.append(took_s)
        except Exception:  # the world ended under it; whoever waits for the world tells why
            return

    def _time_one(self, entity):
        collection = self.world.documents[entity.feed]
        before = self._change_number(collection, entity.probe)
        self.world.sim.post("change", {"entity": entity.label, "company": data.COMPANY,
                                       "keys": [entity.probe]})
        start = time.monotonic()
        while time.monotonic() < start + GIVE_UP_S and not self._over.is_set():
            if self._change_number(collection, entity.probe) > before:
                return time.monotonic() - start
            time.sleep(LOOK_EVERY_S)
        return None

    @staticmethod
    def _change_number(collection, key):
        document = collection.find_one({"_id": key}, {"ChangeNumber": 1})
        return document["ChangeNumber"] if document else 0
