"""Two ingest processes share the feeds: a fair part for each, handed over between two runs, taken over when
one dies or hangs, and nothing is done twice or lost over it."""

import json

import pytest

import feeds
from process import wait_until
from scene import Scene, refused_exports
from tables import Tables

LABELS = {"vendors": feeds.VENDORS, "customers": feeds.CUSTOMERS, "products": feeds.PRODUCTS,
          "more": feeds.VENDORS}


def share(sluice):
    try:
        return json.loads(sluice.ops("/status")[1]).get("share", {})
    except OSError:
        return {}


def owned(sluice):
    """The leases that this process says it owns."""
    return {name for name, one in share(sluice).get("owners", {}).items() if one["here"]}


def wait_shared(one, two, all_of, timeout_s=40):
    """Waits until each owns its part, and both say so; gives the parts."""
    def parts():
        mine, theirs = owned(one), owned(two)
        fair = abs(len(mine) - len(theirs)) <= 1
        return fair and not mine & theirs and mine | theirs == all_of and (mine, theirs)
    return wait_until(parts, timeout_s, f"a fair share; {owned(one)}, {owned(two)}")


def epochs(workspace):
    return {lease["_id"]: lease["epoch"] for lease in
            workspace.state["leases"].find({"_id": {"$regex": "^(feed|source):"}})}


@pytest.fixture
def scenes(sim, workspace):
    sim.post("switches", {"parallel_fails": True, "export_ms": 100})
    return [Scene(sim, workspace, name, label, records=60, every="500ms",
                  company="DEMF" if name == "more" else "USMF")
            for name, label in LABELS.items()]


def start(scenes, name):
    first, *others = scenes
    sluice = first.workspace.sluice(first.config(*others), name)
    sluice.wait_ready(30)
    return sluice


def check(scenes):
    for scene in scenes:
        scene.change(10)
    for scene in scenes:
        scene.check_nothing_lost(40)
    assert refused_exports(scenes[0].sim) == {}, "two exports of a project at once"


def all_feeds(scenes):
    return {f"feed:{scene.name}" for scene in scenes}


def test_a_second_process_gets_its_share_between_two_runs_and_nothing_flaps(workspace, scenes):
    one = start(scenes, "one")
    wait_until(lambda: owned(one) == all_feeds(scenes), 20, "one having all")
    two = start(scenes, "two")
    mine, theirs = wait_shared(one, two, all_feeds(scenes))
    assert len(mine) == len(theirs) == 2
    before = epochs(workspace)
    assert sorted(before.values()) == [1, 1, 2, 2], "each feed moved at most once"
    check(scenes)
    assert epochs(workspace) == before, "and stays"
    # Either of them tells a person who owns what.
    for sluice in (one, two):
        said = sluice.command("status").stdout
        assert said.count("(this process)") == 2 and all(name in said for name in mine | theirs)
    # An end in order hands over at once, and a third one comes in.
    assert one.stop() == 0
    wait_until(lambda: owned(two) == all_feeds(scenes), 20, "two having all")
    three = start(scenes, "three")
    wait_shared(two, three, all_feeds(scenes))
    check(scenes)


def test_what_a_killed_process_had_moves_and_its_executions_are_followed(sim, workspace, scenes):
    one, two = start(scenes, "one"), start(scenes, "two")
    mine, _ = wait_shared(one, two, all_feeds(scenes))
    sim.post("switches", {"export_ms": 1500})
    lost = [scene for scene in scenes if f"feed:{scene.name}" in mine]
    for scene in lost:
        scene.change(5)
    wait_until(lambda: any(scene.newest()["state"] == "executing" for scene in lost), 20,
               "an export under way")
    under_way = {scene.name: scene.newest() for scene in lost}
    one.kill()
    wait_until(lambda: owned(two) == all_feeds(scenes), 30, "two having all")
    sim.post("switches", {"export_ms": 100})
    for scene in lost:
        followed = under_way[scene.name]
        scene.wait_run_done_after(followed["number"] - 1)
        after = scene.runs(number=followed["number"])[0]
        assert after["execution_id"] == followed["execution_id"] and after["state"] == "done"
    one.start(ready_timeout_s=30)
    wait_shared(one, two, all_feeds(scenes))
    check(scenes)


def test_a_process_that_hangs_loses_its_share_and_gets_one_again_when_it_wakes(workspace, scenes):
    first, *others = scenes
    one = first.workspace.sluice(first.config(*others, role="ingest"), "one")
    one.wait_ready(30)
    two = start(scenes, "two")
    mine, theirs = wait_shared(one, two, all_feeds(scenes))
    one.sigstop()
    wait_until(lambda: owned(two) == all_feeds(scenes), 60, "its leases running out")
    moved = epochs(workspace)
    check(scenes)
    newest = {scene.name: scene.newest()["number"] for scene in scenes}
    one.sigcont()
    wait_shared(one, two, all_feeds(scenes), 60)
    check(scenes)
    for scene in scenes:  # what was written while it slept was written by the other one alone
        lease = f"feed:{scene.name}"
        between = scene.runs(number={"$lte": newest[scene.name]})
        assert between[-1]["epoch"] == moved[lease]
    assert one.stop() == 0 and two.stop() == 0


def test_sources_of_dataverse_are_shared_whole(sim, workspace):
    scene = Tables(sim, workspace, {"account": 60, "contact": 30, "product": 20, "t001": 10})
    config = scene.config()
    config["sources"]["crm2"] = dict(config["sources"]["crm"])
    for table in ("product", "t001"):
        config["feeds"][table]["source"] = "crm2"
    one = workspace.sluice(config, "one", ready_timeout_s=30)
    scene.wait_followed()
    two = workspace.sluice(config, "two", ready_timeout_s=30)
    wait_shared(one, two, {"source:crm", "source:crm2"})
    for table in scene.tables:
        scene.change(table, count=8)
        scene.delete(table, count=2)
    scene.check_nothing_lost(failed=None)
    two.kill()
    wait_until(lambda: owned(one) == {"source:crm", "source:crm2"}, 20, "one having both")
    for table in scene.tables:
        scene.change(table, count=8)
    scene.check_nothing_lost(failed=None)


def test_feeds_that_only_one_configuration_has_stay_with_it(sim, workspace, scenes):
    one = start(scenes, "one")
    wait_until(lambda: owned(one) == all_feeds(scenes), 20, "one having all")
    two = start(scenes[:1], "two")
    wait_until(lambda: len(share(two).get("members", {})) == 2, 20, "both being known")
    check(scenes)
    others = all_feeds(scenes[1:])
    assert others <= owned(one)
    assert {name: epoch for name, epoch in epochs(workspace).items() if name in others} == \
        {name: 1 for name in others}
    assert two.ready()
