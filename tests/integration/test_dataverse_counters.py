"""The database of Finance & Operations counts the versions of its rows itself: what a source reads of
one counter must say nothing of how new the rows of the other one are."""

import json

from dataverse_script import Page, Script, expired, guid, row
from hooks import KEY, SECRET, VIRTUAL, Poster, event
from process import free_port, wait_until
from tables import Scripted, Tables, owns

A, B, NEW, VENDOR = 1, 2, 4, 9
FO = 10**9  # where the other counter stands: rows of either may be deleted, see both tests
FO_MARK = "mark:crm:mserp"


def marks(workspace):
    """{_id: document} of the source's marks."""
    return {one["_id"]: one for one in
            workspace.state["checkpoints"].find({"_id": {"$regex": "^mark:"}})}


def test_a_row_of_the_counter_that_is_behind_is_created_again(workspace):
    with Script(account=["name"], mserp_v=["name"]) as script:
        table, vendors = script["account"], script["mserp_v"]
        table.answers["full"] = Page([row(A, 100), row(B, 101)], delta="d1")
        vendors.answers["full"] = Page([row(VENDOR, FO)], delta="d1")
        scene = Scripted(script, workspace)
        scene.sluice()
        scene.wait_stored({VENDOR: (2 * FO, True)}, "mserp_v")
        scene.wait_stored({A: (200, True), B: (202, True)})
        table.answers["d1"] = Page(deleted=[A], delta="d2")
        scene.wait_stored({A: (203, False), B: (202, True)})
        table.answers["d2"] = Page([row(A, 300)], delta="d3")
        scene.wait_stored({A: (600, True), B: (202, True)})

        # The other way round: deletions there are above what was read there.
        vendors.answers["d1"] = Page(deleted=[VENDOR], delta="d2")
        scene.wait_stored({VENDOR: (2 * FO + 1, False)}, "mserp_v")
        found = marks(workspace)
        assert found["mark:crm"]["value"] == 300 and found[FO_MARK]["value"] == FO


def test_a_sweep_leaves_rows_alone_that_are_newer_by_their_own_counter(workspace):
    with Script(account=["name"], mserp_v=["name"]) as script:
        table = script["account"]
        table.answers["full"] = Page([row(A, 100), row(B, 101)], delta="d1")
        script["mserp_v"].answers["full"] = Page([row(VENDOR, FO)], delta="d1")
        scene = Scripted(script, workspace, ledger_deadline="60s", sweep_limit=100)
        first = scene.sluice("all")
        scene.wait_stored({VENDOR: (2 * FO, True)}, "mserp_v")
        scene.wait_stored({A: (200, True), B: (202, True)})
        wait_until(lambda: scene.newest().endswith("d1"), 20, "the changes being followed")
        assert first.stop() == 0

        # Read in full, then a row is born; all of it is written before the sweep begins.
        table.answers["d1"] = expired()
        table.answers["full"] = Page([row(A, 100)], delta="d3")
        table.answers["d3"] = Page([row(NEW, 500)], delta="d4")
        scene.sluice("ingest", role="ingest")
        wait_until(lambda: table.count("d4") > 2, 20, "the new row being read")
        scene.sluice("apply", role="apply")
        swept = {A: (200, True), B: (203, False), NEW: (1000, True)}
        scene.wait_stored(swept)
        table.answers["d4"] = Page([row(NEW, 510)], delta="d5")
        scene.wait_stored({**swept, NEW: (1020, True)})
        scene.check_versions()


def test_what_is_read_back_says_nothing_of_how_new_the_rows_of_other_tables_are(workspace):
    """A row read by its id may be younger than one that is still hidden in an open transaction; changes come up to
    the oldest of these alone."""
    with Script(account=["name"], visit=["name"]) as script:
        table, visit, port = script["account"], script["visit"], free_port()
        table.answers["full"] = Page([row(A, 100)], delta="d1")
        scene = Scripted(script, workspace)
        config = scene.config()
        config["sources"]["hook"] = {"type": "webhook", "listen": f"127.0.0.1:{port}", "doorbell": "crm",
                                     "secret": {"header": KEY, "value": SECRET}}
        config["feeds"]["visit"] = {"source": "hook", "table": "visit", "collection": "visit"}
        workspace.sluice(config, ready_timeout_s=30)
        scene.wait_stored({A: (200, True)})
        # A is deleted, and a transaction creates it again with version 190. Before that ends, B is changed and read.
        visit.rows = {B: row(B, 1000)}
        assert Poster(port).send(event("visit", guid(B)))[0] == 200
        wait_until(lambda: scene.stored("visit"), 20, "the row that was read back")
        table.answers["d1"] = Page(deleted=[A], delta="d2")
        scene.wait_stored({A: (201, False)})
        table.answers["d2"] = Page([row(A, 190)], delta="d3")
        scene.wait_stored({A: (380, True)})
        assert marks(workspace)["mark:crm"]["value"] == 190


def test_a_deletion_wins_against_a_row_that_a_killed_process_published(workspace):
    with Script(account=["name"], mserp_v=["name"]) as script:
        vendors = script["mserp_v"]
        script["account"].answers["full"] = Page([row(A, FO)], delta="d1")  # ahead, this time
        vendors.answers = {"full": Page([row(VENDOR, 100)], delta="d1"),
                           "d1": Page([row(VENDOR, 200)], delta="d2")}
        scene = Scripted(script, workspace, run_span="1h")
        ingest = scene.sluice("ingest", role="ingest")
        wait_until(lambda: scene.newest("mserp_v").endswith("d1"), 20, "the full read in the journal")
        wait_until(lambda: marks(workspace)[FO_MARK]["value"] == 200, 20, "the mark")
        wait_until(lambda: workspace.queue_depth("fast") >= 1, 20, "the change in the queue")
        ingest.kill()
        assert scene.newest("mserp_v").endswith("d1"), "nothing says that the change was read"

        vendors.answers["d1"] = Page(deleted=[VENDOR], delta="d2")
        vendors.answers["d2"] = Page(delta="d2")
        scene.sluice("ingest-2", role="ingest")
        wait_until(lambda: vendors.count("d2") > 2, 20, "the deletion being read")
        scene.sluice("apply", role="apply")
        scene.wait_stored({VENDOR: (401, False)}, "mserp_v")
        vendors.answers["d2"] = Page([row(VENDOR, 210)], delta="d3")
        scene.wait_stored({VENDOR: (420, True)}, "mserp_v")
        assert {one["epoch"] for one in marks(workspace).values()} == {2}, "an owner of old is shut out"
        scene.check_versions()


def test_a_feed_that_goes_over_to_the_other_counter_begins_above_what_it_has_stored(workspace):
    """As does one that was followed when there was one mark for all, so that its versions fall nowhere."""
    with Script(account=["name"], mserp_v=["name"]) as script:
        vendors = script["mserp_v"]
        vendors.answers["full"] = Page([row(VENDOR, 500)], delta="d1")
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        scene.wait_stored({VENDOR: (1000, True)}, "mserp_v")
        wait_until(lambda: scene.newest("mserp_v").endswith("d1"), 20, "the full read in the journal")
        assert sluice.stop() == 0
        checkpoints = workspace.state["checkpoints"]
        checkpoints.update_one({"_id": "feed:mserp_v"}, {"$set": {"source": "crm"}})
        checkpoints.update_one({"_id": "mark:crm"}, {"$set": {"value": FO}})
        checkpoints.delete_one({"_id": FO_MARK})
        vendors.answers["d1"] = Page([row(VENDOR, 510)], delta="d2")
        sluice.start(ready_timeout_s=30)
        scene.wait_stored({VENDOR: (2 * (510 + FO + 1), True)}, "mserp_v")
        vendors.answers["d2"] = Page(deleted=[VENDOR], delta="d3")
        scene.wait_stored({VENDOR: (2 * (510 + FO + 1) + 1, False)}, "mserp_v")
        wait_until(lambda: scene.newest("mserp_v").endswith("d3"), 20, "the deletion in the journal")
        sluice.restart(ready_timeout_s=30)
        vendors.answers["d3"] = Page([row(VENDOR, 511)], delta="d4")
        scene.wait_stored({VENDOR: (2 * (511 + FO + 1), True)}, "mserp_v")
        assert checkpoints.find_one({"_id": "feed:mserp_v"})["source"] == "crm:mserp"
        scene.check_versions()


def test_versions_of_both_counters_are_reset(sim, workspace):
    scene = Tables(sim, workspace, {"account": 30, VIRTUAL: 20}, sweep_limit=60)
    sluice = scene.sluice()
    scene.wait_followed()
    stats = scene.stats()
    assert stats["version"] < stats["mserp_version"]
    buried = set()
    for table in scene.tables:
        scene.change(table, count=10)
        buried |= set(scene.delete(table, count=3))
    scene.wait_followed()
    scene.wait_books_closed()
    sim.dataverse("restore", version=stats["version"], mserp_version=stats["mserp_version"])
    asked = sluice.command("refresh", "account", "--reset-versions", "--confirm", "crm")
    assert asked.returncode == 0, asked.stderr
    for _ in range(2):
        wait_until(lambda: owns(sluice), 20, "the source taken up")
        said = json.loads(sluice.ops("/status")[1])["sources"]["crm"]
        offsets = {"account": said["version_offset"], VIRTUAL: said["mserp_version_offset"]}
        assert offsets["account"] > stats["version"] and offsets[VIRTUAL] > stats["mserp_version"]
        for table, offset in offsets.items():
            def wanted():
                return {one["id"]: 2 * (one["versionnumber"] + offset)
                        for one in scene.rows(table, fields=0) if "deleted" not in one}
            wait_until(lambda: scene.live(table) == wanted(), 30, f"{table} as it was restored")
            assert scene.differences(table) == []
            buried -= scene.live(table).keys()
            scene.change(table, count=5)
        assert not buried, "tombstones of the other past give way"
        sluice.restart(ready_timeout_s=30)
    scene.check_versions()


def test_a_source_without_tables_of_finance_and_operations_has_one_mark(workspace):
    with Script(account=["name"]) as script:
        script["account"].answers["full"] = Page([row(A, 100)], delta="d1")
        scene = Scripted(script, workspace)
        scene.sluice()
        scene.wait_stored({A: (200, True)})
        assert marks(workspace).keys() == {"mark:crm"}
