"""Killed at each durable step there is, one after the other: nothing is lost, at none of them."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import show_on_failure
from kill_walk import Walker
from servers import Sim

WALKERS = 6


@pytest.mark.timeout(900)
def test_killed_at_every_durable_step_nothing_is_lost(request, rabbit, mongo, tmp_path):
    sims = [Sim(tmp_path / f"sim-{number}") for number in range(WALKERS)]
    show_on_failure(request, sims)
    walkers = []
    try:
        for number, sim in enumerate(sims):
            sim.start()
            (tmp_path / f"walker-{number}").mkdir()
            walkers.append(Walker(tmp_path / f"walker-{number}", sim, rabbit, mongo))
        assert walkers[0].walk(None) == (False, [])
        steps = walkers[0].names()
        told = Walk(len(steps)).run(walkers)
        # The order of steps varies: one that comes once may have been passed by.
        for name in set(steps).difference(*(walker.killed_at for walker in walkers)):
            told[name] = walkers[0].walk(name)
    finally:
        for sim in sims:
            sim.stop()
    print(f"{len(told)} steps: {len(steps)} without a kill")
    wrong = {step: found for step, (_, found) in told.items() if found}
    assert not wrong, f"killed at steps {list(wrong)}; the first: {next(iter(wrong.values()))}"
    assert len(told) >= len(steps) > 50
    names = set(steps)
    spared = names.difference(*(walker.killed_at for walker in walkers))
    assert not spared, f"never killed at {sorted(spared)}"
    for name in ("publish", "confirmed", "mongo update asked runs", "mongo update answered ledger",
                 "mongo update asked dead", "mongo update answered vendors", "mongo insert asked account",
                 "mongo insert answered account", "mongo update answered account", "ack", "export asked",
                 "mongo update asked checkpoints", "mongo findAndModify asked leases", "post answered"):
        assert any(one.startswith(name) for one in names), f"{name} is not among {sorted(names)}"


class Walk:
    """Hands out the steps 1, 2, 3 ... until one beyond the known number is not reached any more."""

    def __init__(self, known):
        self.known = known
        self.told = {}  # {step: (killed, findings)}
        self._next = itertools.count(1)
        self._lock = threading.Lock()
        self._over = False

    def run(self, walkers):
        with ThreadPoolExecutor(len(walkers)) as pool:
            for done in [pool.submit(self._walk, walker) for walker in walkers]:
                done.result()
        return self.told

    def _walk(self, walker):
        while not self._over:
            with self._lock:
                step = next(self._next)
            killed, found = self.told[step] = walker.walk(step)
            if not killed and step > self.known:
                self._over = True
