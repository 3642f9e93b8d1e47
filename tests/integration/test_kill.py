"""sluice killed at any moment, as kill -9 does, and the kernel when memory runs out."""

import collections
import time

import pytest

import books
from process import wait_until
from scene import LONG, Scene, long_scene, seeded, wait_midway

KILLS = 50


def _live_and_die(sluice, scene, random):
    """Starts it and kills it 20 to 400 ms later, mostly counted from where it took up its feed; gives
    the state in which its run was left."""
    began = sluice.log_path.stat().st_size
    sluice.start()
    if random.random() < 0.8:
        sluice.wait_for(lambda: b'"feed taken up"' in sluice.log_path.read_bytes()[began:], 30,
                        "taking up its feed")
    time.sleep(random.uniform(0.02, 0.4))  # the moment is what is random
    assert sluice.running(), sluice.log_tail()
    sluice.kill()
    return scene.newest()["state"]


def _die_in(sluice, scene, *states):
    """Starts it and kills it while its run is in one of these states."""
    sluice.start()
    wait_until(lambda: scene.newest()["state"] in states, 60, " or ".join(states), 0.01)
    sluice.kill()
    return scene.newest()["state"]


def test_killed_at_50_random_moments_loses_nothing_and_exports_nothing_twice(sim, workspace):
    random = seeded()
    sim.post("switches", {"export_ms": 60, "slow_body_bytes_per_s": 100_000})
    scene = Scene(sim, workspace, records=400)
    sluice = scene.sluice(limits={"batch_rows": 20})
    scene.wait_run_done_after(0)
    sluice.kill()
    killed_in = collections.Counter()
    for _ in range(KILLS):
        scene.change_at(100, 0.5)
        killed_in[_live_and_die(sluice, scene, random)] += 1
    # Where chance may not have hit: on a slow machine one run goes on through all kills.
    scene.change(100)
    sim.post("switches", {"export_ms": 3000})
    killed_in[_die_in(sluice, scene, "executing")] += 1
    sim.post("switches", {"export_ms": 60, "slow_body_bytes_per_s": 10_000})
    killed_in[_die_in(sluice, scene, "streaming")] += 1
    sim.post("switches", {"slow_body_bytes_per_s": 0})
    print(f"killed in: {dict(killed_in)}")
    sluice.start()
    scene.check_nothing_lost()


@pytest.mark.parametrize("before, after", [(20, 7), (7, 400)])
def test_killed_in_mid_run_and_started_with_other_batches_the_ledger_balances(
        before, after, sim, workspace):
    scene = long_scene(sim, workspace)
    sluice = scene.sluice(limits={"batch_rows": before})
    wait_midway(sluice, scene)
    sluice.kill()
    sluice.config["limits"]["batch_rows"] = after
    sluice.write_config()
    sluice.start(ready_timeout_s=30)
    scene.check_nothing_lost()
    run = scene.runs(number=1)[0]
    assert run["attempt"] == 2
    sums = books.check_run(workspace, run)
    assert sums["read"] == sums["applied"] == LONG, sums  # the second attempt's rows are newer
    assert run["entities"][0]["batches"] > LONG // after


def test_killed_between_asking_for_an_export_and_its_start_it_asks_again(sim, workspace):
    sim.post("switches", {"http_503_next": -1, "retry_after": 1})
    scene = Scene(sim, workspace)
    sluice = scene.sluice(start=False)
    sluice.start()
    wait_until(lambda: scene.newest(), 30, "a run")
    sluice.kill()
    # As if it had died a moment later: what was journaled is that the export may have been asked for.
    workspace.state["runs"].update_one({"_id": scene.newest()["_id"]},
                                       {"$set": {"state": "requested"}})
    sim.post("switches", {"http_503_next": 0})
    sluice.start(ready_timeout_s=30)
    scene.check_nothing_lost()
    execution = scene.runs(number=1)[0]["execution_id"]
    assert [one["id"] for one in sim.get("executions")].count(execution) == 1
