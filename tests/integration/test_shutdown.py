"""SIGTERM: what is in flight is finished within ten seconds, whatever the peers do, and the next start
goes on where this one ended."""

import pathlib
import signal
import time

from process import wait_until
from scene import Scene, long_scene, wait_midway

WITHIN_S = 15  # it takes nine at most, and the machine may stand still meanwhile


def end(sluice):
    """Ends it in order, in time."""
    began = time.monotonic()
    assert sluice.stop(timeout_s=WITHIN_S) == 0
    return time.monotonic() - began


def midway(sim, workspace):
    """A scene and its sluice, in mid package."""
    scene = long_scene(sim, workspace)
    sluice = scene.sluice(limits={"batch_rows": 20})
    wait_midway(sluice, scene)
    return scene, sluice


def test_an_idle_sluice_ends_at_once(sim, workspace):
    scene = Scene(sim, workspace, every="1h")
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    assert end(sluice) < 8, "what hangs would have nine seconds"
    assert workspace.state["leases"].count_documents({"owner": {"$exists": True}}) == 0


def test_ended_in_mid_package_it_finishes_what_is_in_flight_and_goes_on_later(sim, workspace):
    scene, sluice = midway(sim, workspace)
    end(sluice)
    assert scene.newest()["state"] == "streaming"
    assert workspace.queue_depth("bulk") is not None
    wait_until(lambda: not scene.download(), 10, "no download being left")
    sluice.start(ready_timeout_s=30)
    scene.check_nothing_lost()
    assert sluice.log_lines()[-1]["msg"] != "ended in order"


def test_ended_while_an_export_runs_it_follows_that_export_later(sim, workspace):
    sim.post("switches", {"export_ms": 3000})
    scene = Scene(sim, workspace)
    sluice = scene.sluice()
    run, = wait_until(lambda: scene.runs(state="executing"), 20, "an execution")
    end(sluice)
    sluice.start(ready_timeout_s=30)
    scene.check_nothing_lost()
    assert scene.runs(number=run["number"])[0]["execution_id"] == run["execution_id"]


def test_ended_while_both_servers_are_away_it_loses_nothing(sim, own_rabbit, own_mongo, workspace):
    scene, sluice = midway(sim, workspace)
    own_rabbit.settle(*workspace.queues[:2])
    own_rabbit.kill()
    wait_until(lambda: not sluice.ready(), 20, "the broker being missed")
    own_mongo.kill()
    end(sluice)
    own_mongo.start()
    own_rabbit.start()
    sluice.start(ready_timeout_s=40)
    scene.check_nothing_lost(40)


def test_ended_while_mongod_hangs_it_loses_nothing(sim, own_mongo, workspace):
    scene, sluice = midway(sim, workspace)
    own_mongo.pause()
    end(sluice)
    own_mongo.resume()
    sluice.start(ready_timeout_s=40)
    scene.check_nothing_lost(40)


def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(sim, own_mongo, workspace):
    scene, sluice = midway(sim, workspace)
    own_mongo.pause()
    sluice.signal(signal.SIGTERM)
    wait_until(lambda: any(line["msg"].startswith("ending") for line in sluice.log_lines()), 5,
               "the first signal being seen")
    began = time.monotonic()
    sluice.signal(signal.SIGTERM)
    status = sluice.wait(15)
    assert time.monotonic() - began < 5 and status != 0, "an end that was forced says so"
    own_mongo.resume()
    sluice.start(ready_timeout_s=40)
    scene.check_nothing_lost(40)


def test_killed_it_leaves_nothing_in_shared_memory(sim, workspace):
    """The driver would leave a file named after the pid, and warn when it finds it again."""
    sluice = Scene(sim, workspace, every="1h").sluice()
    wait_until(lambda: sluice.ops("/readyz")[0] == 200, 30, "readiness")
    pid = sluice.pid
    sluice.kill()
    assert not pathlib.Path(f"/dev/shm/mongoc-{pid}").exists()
