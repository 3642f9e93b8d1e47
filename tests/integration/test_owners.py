"""Two ingest processes with one configuration and one feed: one works, the other stands by. Of several
feeds each gets its share: test_sharing.py."""

import json

from feeds import feed, make_project
from process import wait_until
from scene import Scene


def owns(sluice, scene):
    try:
        status = json.loads(sluice.ops("/status")[1])
    except OSError:
        return False
    return status["feeds"][scene.name]["state"]["owner"]


def pair(scene, **changes):
    """(owner, standby, scene's own name of them aside)."""
    one, two = (scene.sluice(name, **changes) for name in ("one", "two"))
    wait_until(lambda: owns(one, scene) or owns(two, scene), 20, "an owner")
    return (one, two) if owns(one, scene) else (two, one)


def check_one_at_a_time(sim):
    """Exports of a project never overlapped: the simulator refuses those."""
    requests = sim.get("stats")["requests"]["ExportToPackage"]
    assert set(requests) == {"200"}, requests


def test_only_one_of_two_exports_and_the_other_takes_over_its_execution(sim, workspace):
    sim.post("switches", {"parallel_fails": True, "export_ms": 1500})
    scene = Scene(sim, workspace)
    owner, standby = pair(scene)
    scene.wait_run_done_after(1)
    assert not owns(standby, scene) and standby.ready(), "standing by is no trouble"

    scene.change(30)
    number = scene.newest()["number"]
    wait_until(lambda: scene.newest()["number"] > number
               and scene.newest()["state"] == "executing", 20, "a new execution")
    followed = scene.newest()
    owner.kill()
    wait_until(lambda: owns(standby, scene), 20, "the other being the owner")
    scene.wait_run_done_after(followed["number"] - 1)
    after = scene.runs(number=followed["number"])[0]
    assert after["execution_id"] == followed["execution_id"] and after["state"] == "done"
    scene.check_nothing_lost()
    check_one_at_a_time(sim)


def test_an_owner_that_hung_too_long_cannot_write_over_its_successor(sim, workspace):
    sim.post("switches", {"parallel_fails": True, "slow_body_bytes_per_s": 60_000})
    scene = Scene(sim, workspace, records=600)
    owner, standby = pair(scene)
    wait_until(lambda: scene.runs(state="streaming"), 20, "a run at work")
    owner.sigstop()
    stopped = scene.newest()["number"]
    wait_until(lambda: owns(standby, scene), 60, "the lease running out")
    epoch = workspace.state["leases"].find_one({"_id": f"feed:{scene.name}"})["epoch"]
    assert epoch == 2
    scene.change(50)
    scene.wait_next_run()
    owner.sigcont()
    wait_until(lambda: owner.ready() and not owns(owner, scene), 40, "the old owner standing by")
    scene.change(50)
    scene.check_nothing_lost()
    assert owns(standby, scene)
    assert {run["epoch"] for run in scene.runs(number={"$gt": stopped})} == {2}
    assert owner.stop() == 0 and standby.stop() == 0


def test_two_feeds_are_shared_out_and_an_orderly_end_hands_over_at_once(sim, workspace):
    first = Scene(sim, workspace)
    one = first.sluice("one")
    first.wait_run_done_after(0)
    two = first.sluice("two")
    assert owns(one, first) and not owns(two, first)
    assert one.stop() == 0
    wait_until(lambda: owns(two, first), 15, "the lease given back and taken")
    first.change(20)
    first.check_nothing_lost()


def test_leases_of_feeds_that_sleep_are_renewed(sim, workspace):
    """Nothing is due for long: one write keeps them all, and gives nobody a new epoch."""
    names = [f"sleeping{number}" for number in range(5)]
    feeds = {}
    for name in names:
        make_project(sim, name)
        feeds[name] = {**feed(sim, name, collection=name), "cron": "0 3 29 2 *"}
        feeds[name].pop("every")
    sluice = workspace.sluice(workspace.config(sim, feeds=feeds), ready_timeout_s=30)
    leases = workspace.state["leases"]

    def held():
        now = workspace.client.admin.command("hello")["localTime"]
        found = {one["_id"]: one for one in leases.find({"owner": {"$exists": True}})}
        return found if len(found) == 5 and all(one["expires_at"] > now for one in found.values()) else None

    first = wait_until(held, 20, "five leases")
    last = max(one["expires_at"] for one in first.values())
    wait_until(lambda: workspace.client.admin.command("hello")["localTime"] > last, 20, "the leases' time")

    def kept_together():  # by one write, at one time
        found = held()
        return found and len({one["expires_at"] for one in found.values()}) == 1 and found

    later = wait_until(kept_together, 20, "a renewal of all")
    assert later.keys() == {f"feed:{name}" for name in names}
    assert all((one["owner"], one["epoch"]) == (first[name]["owner"], 1) for name, one in later.items())
    assert sluice.stop() == 0
    assert not leases.count_documents({"owner": {"$exists": True}}), "all are given back"
