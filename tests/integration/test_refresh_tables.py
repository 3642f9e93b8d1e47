"""sluice refresh, of Dataverse tables: a full read and a sweep that somebody asked for, and an environment
that was restored from a backup."""

import datetime
import json

from dataverse_script import Page, Script, expired, failure, row
from feeds import logged
from process import wait_until
from readiness import troubles, wait_trouble
from tables import Scripted, Tables, end_lease, owns, status

LONG_AGO = datetime.datetime(2000, 1, 1)


def wait_swept(scene):
    """Waits until the first full read is over, with its sweep: what is put in from here on stays."""
    scene.wait_followed()
    for table in scene.tables:
        wait_until(lambda: scene.checkpoint(table).get("newest", "").startswith("delta ")
                   and not scene.checkpoint(table).keys() & {"reading", "sweeping"}, 20, "the sweep")


def refresh_of(workspace, feed="account"):
    return workspace.state["refreshes"].find_one({"_id": feed}) or {}


def test_a_refresh_reads_the_table_in_full_and_sweeps_it(sim, workspace):
    scene = Tables(sim, workspace, {"account": 120, "contact": 30})
    sluice = scene.sluice()
    wait_swept(scene)
    # Documents that the service knows nothing of, as after a lost deletion.
    scene.documents().insert_many([
        {"_id": f"ghost-{i}", "_sluice": {"v": 7, "feed": "account", "run": "account-000001"}}
        for i in range(3)])
    done = sluice.command("refresh", "account")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "what it did not bring is counted again after 11 s" in done.stdout
    assert "all but 3 of 123 documents; those were deleted" in done.stdout
    assert scene.tombstones().keys() == {f"ghost-{i}" for i in range(3)}
    assert {one["_sluice"]["seen"] for one in scene.documents().find(
        {"_sluice.deleted": {"$exists": False}})} == {"account-full-000002"}
    assert scene.checkpoint("contact")["full_number"] == 1, "the other table is left alone"
    scene.change(count=5)
    scene.check_nothing_lost()


def test_a_dry_run_lists_what_would_go_and_neither_it_nor_a_refused_one_loses_a_deletion(
        sim, workspace):
    scene = Tables(sim, workspace, {"account": 100}, sweep_limit=0, every="4s")
    sluice = scene.sluice()
    wait_swept(scene)
    scene.documents().insert_one({"_id": "ghost", "_sluice": {"v": 7, "feed": "account"}})
    # Most likely no poll comes between these and the full read, whose own link does not tell of them.
    gone = set(scene.delete(count=4))
    tried = sluice.command("refresh", "account", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "account\tghost\n" in tried.stdout
    wait_until(lambda: scene.tombstones().keys() == gone, 20, "the deletions")
    assert "ghost" in scene.live()
    assert "kept" not in scene.checkpoint()

    more = set(scene.delete(count=2))
    refused = sluice.command("refresh", "account")
    assert refused.returncode == 1 and "would be deleted" in refused.stdout, refused.stdout
    assert "sluice refresh account --force" in refused.stdout
    assert status(sluice)["note"]
    wait_until(lambda: scene.tombstones().keys() == gone | more, 20, "those, too")
    assert "ghost" in scene.live()
    assert sluice.command("refresh", "account", "--force").returncode == 0
    assert scene.tombstones().keys() == gone | more | {"ghost"}
    assert not status(sluice)["note"]
    scene.check_nothing_lost()


def test_a_refresh_that_is_killed_goes_on_and_one_is_enough(sim, workspace):
    scene = Tables(sim, workspace, {"account": 600}, source={"page_size": 20}, run_span="100ms")
    sluice = scene.sluice()
    wait_swept(scene)
    scene.documents().insert_one({"_id": "ghost", "_sluice": {"v": 7, "feed": "account"}})
    scene.switch(dv_delay_ms=400)  # 30 pages: longer than the machine may stand still
    assert sluice.command("refresh", "account", "--no-wait").returncode == 0
    for reached in ("reading", "reading"):
        wait_until(lambda: refresh_of(workspace).get("state") == reached
                   and (scene.checkpoint().get("newest") or "").startswith("page "), 30, "pages")
        sluice.kill()
        assert "is under way already" in sluice.command("refresh", "account", "--no-wait").stdout
        sluice.start()
        pages = scene.stats()["next_links"]
        wait_until(lambda: scene.stats()["next_links"] > pages, 30, "more pages")
    scene.switch(dv_delay_ms=0)
    done = sluice.command("refresh", "account")
    assert done.returncode == 0, done.stdout
    assert scene.checkpoint()["full_number"] == 2 and refresh_of(workspace)["number"] == 1
    assert scene.tombstones().keys() == {"ghost"}
    scene.check_nothing_lost()


def test_a_feed_that_fails_does_not_seem_to_work_because_it_is_told_of_a_refresh(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers["full"] = Page([row(1, 100)], delta="d1")
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        scene.wait_stored({1: (200, True)})
        table.answers["full"] = failure(500, "0x0", "a fault")
        assert sluice.command("refresh", "account", "--no-wait").returncode == 0
        wait_trouble(sluice, "feed account", "a fault")

        def longest_pause_s():
            tries = [at for link, at in table.asked if link == "full"][1:]
            return max((later - at for at, later in zip(tries, tries[1:])), default=0)
        wait_until(lambda: longest_pause_s() > 3, 20, "the pause growing")
        assert not logged(sluice, "feed works again")
        table.answers["full"] = Page([row(1, 100)], delta="d2")
        wait_until(lambda: refresh_of(workspace).get("state") == "done", 40, "the refresh")
        wait_until(lambda: not troubles(sluice), 20, "no trouble")
        assert len(logged(sluice, "feed works again")) == 1


def test_a_restored_environment_wins_when_its_versions_are_reset(sim, workspace):
    scene = Tables(sim, workspace, {"account": 80, "contact": 40}, sweep_limit=60)
    sluice = scene.sluice()
    scene.wait_followed()
    backup = scene.stats()["version"]
    scene.change(count=50)
    changed = scene.change(table="contact", count=10)
    born = set(scene.create(6))
    buried = set(scene.delete(count=5)) - born
    scene.wait_followed()
    assert buried <= scene.tombstones().keys()

    # Messages of that time are still on their way when the environment is restored.
    scene.wait_books_closed()
    apply_less = scene.sluice("ingest", role="ingest", start=False)
    assert sluice.stop() == 0
    apply_less.start(ready_timeout_s=30)
    scene.change(count=20)
    late = set(scene.create(3))
    wait_until(lambda: workspace.queue_depth("fast"), 20, "messages in the queue")
    sim.dataverse("restore", version=backup)

    asked = apply_less.command("refresh", "account", "--reset-versions", "--no-wait")
    assert asked.returncode == 1 and "add --confirm crm" in asked.stderr
    asked = apply_less.command("refresh", "account", "--reset-versions", "--confirm", "cmr", "--no-wait")
    assert asked.returncode == 1
    asked = apply_less.command("refresh", "account", "--reset-versions", "--confirm", "crm", "--no-wait")
    assert asked.returncode == 0 and "contact: refresh" in asked.stdout, asked.stderr
    wait_until(lambda: refresh_of(workspace).get("state") == "reading"
               and refresh_of(workspace, "contact").get("state") == "reading", 30, "full reads")
    assert apply_less.stop() == 0
    sluice.start(ready_timeout_s=30)

    for feed in ("account", "contact"):
        wait_until(lambda: refresh_of(workspace, feed).get("state") == "done", 40, f"{feed}'s end")
    assert logged(apply_less, "versions begin anew") and not logged(sluice, "versions begin anew")
    offset = json.loads(sluice.ops("/status")[1])["sources"]["crm"]["version_offset"]
    assert offset > backup
    check_restored(scene, offset)
    assert not (born | late) & scene.live().keys()
    assert buried <= scene.live().keys(), "tombstones of the other past give way"

    # What happens from here on has versions of the new time, over a change of owner too.
    scene.change(count=10)
    scene.change(table="contact", ids=changed[:3])
    gone = set(scene.delete(count=3))
    check_restored(scene, offset)
    assert gone <= scene.tombstones().keys()
    sluice.restart(ready_timeout_s=30)
    back = set(scene.recreate(ids=sorted(gone)[:2]))
    check_restored(scene, offset)
    assert back <= scene.live().keys()
    scene.check_versions()


def check_restored(scene, offset):
    """The documents are the rows, with versions that are raised by the offset."""
    def wanted(table):
        return {row["id"]: 2 * (row["versionnumber"] + offset)
                for row in scene.rows(table, fields=0) if "deleted" not in row}
    for table in scene.tables:
        wait_until(lambda: scene.live(table) == wanted(table), 30, f"{table} as it was restored")
        assert scene.differences(table) == []


def open_refresh(feed, **changes):
    return {"_id": feed, "number": 1, "state": "asked", "epoch": 0, "dry_run": False, "force": False, "reset": "",
            "asked_at": LONG_AGO, "state_at": LONG_AGO, **changes}


def test_versions_are_not_reset_while_a_feed_of_the_source_has_another_refresh(sim, workspace):
    scene = Tables(sim, workspace, {"account": 10, "contact": 10})
    sluice = scene.sluice(start=False)
    refreshes = workspace.state["refreshes"]
    refreshes.insert_one(open_refresh("contact"))
    words = ("refresh", "account", "--reset-versions", "--confirm", "crm", "--no-wait")
    refused = sluice.command(*words)
    assert refused.returncode == 1 and "'contact' with other options is under way" in refused.stderr
    assert [one["_id"] for one in refreshes.find()] == ["contact"]

    refreshes.update_one({}, {"$set": {"state": "done"}})
    assert sluice.command(*words).returncode == 0
    assert len({one["reset"] for one in refreshes.find()} - {""}) == 1 and refreshes.count_documents({}) == 2


def test_a_reset_that_not_all_feeds_were_asked_for_says_so(sim, workspace):
    scene = Tables(sim, workspace, {"account": 10, "contact": 10})
    sluice = scene.sluice(start=False)
    workspace.state.create_collection("refreshes", validator={"_id": {"$ne": "contact"}})
    half = sluice.command("refresh", "account", "--reset-versions", "--confirm", "crm", "--no-wait")
    assert half.returncode == 1 and "1 of 2 feeds were asked for; the versions of 'crm' do begin anew: ask again" in half.stderr


def test_refreshes_of_feeds_that_are_not_here_are_in_nobodys_way(sim, workspace):
    workspace.state["refreshes"].insert_many([open_refresh(f"a-{i:03}") for i in range(70)])
    scene = Tables(sim, workspace, {"account": 20})
    sluice = scene.sluice()
    wait_swept(scene)
    assert sluice.command("refresh", "account", "--no-wait").returncode == 0
    wait_until(lambda: refresh_of(workspace)["state"] == "done", 30, "the refresh")


def test_an_owner_of_old_cannot_end_a_refresh(sim, workspace):
    scene = Tables(sim, workspace, {"account": 300}, source={"page_size": 20}, run_span="100ms")
    one = scene.sluice("one", role="ingest")
    wait_until(lambda: owns(one), 20, "an owner")
    two = scene.sluice("two")
    scene.wait_followed()
    scene.switch(dv_delay_ms=400)  # 15 pages: longer than the machine may stand still
    assert one.command("refresh", "account", "--no-wait").returncode == 0
    wait_until(lambda: refresh_of(workspace).get("state") == "reading", 20, "the full read")
    one.sigstop()
    end_lease(workspace)
    scene.switch(dv_delay_ms=0)
    wait_until(lambda: refresh_of(workspace).get("state") == "done", 30, "its end by the other one")
    epoch = refresh_of(workspace)["epoch"]
    one.sigcont()
    scene.change(count=10)
    scene.check_nothing_lost(failed=None)
    assert refresh_of(workspace)["epoch"] == epoch and refresh_of(workspace)["number"] == 1
    wait_until(two.ready, 20, "the other one having no trouble")


def test_a_sweep_is_refused_when_changes_are_older_than_what_was_known_even_by_a_successor(workspace):
    """An environment whose row versions are behind those of before: another one under the same name of the
    source, or one that had an offset before the state was lost. The row that is born, and the one that
    changes, after the full read have versions below its floor."""
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers["full"] = Page([row(1, 902_100)], delta="d1")
        scene = Scripted(script, workspace, ledger_deadline="60s", sweep_limit=100)
        sluice = scene.sluice("all")
        scene.wait_stored({1: (1_804_200, True)})
        wait_until(lambda: scene.newest().endswith("d1"), 20, "the changes being followed")
        assert sluice.stop() == 0
        workspace.db["account"].delete_many({})

        table.answers["d1"] = expired()
        table.answers["full"] = Page([row(1, 310), row(2, 320)], delta="d3")
        table.answers["d3"] = Page([row(1, 400), row(3, 401)], delta="d4")
        ingest = scene.sluice("ingest", role="ingest")
        wait_until(lambda: scene.newest().endswith("d4"), 20, "the changes being journaled")
        ingest.kill()
        sluice.start(ready_timeout_s=30)
        wait_until(lambda: logged(sluice, "sweep refused"), 20, "the sweep")
        scene.wait_stored({1: (800, True), 2: (640, True), 3: (802, True)})
        assert "sluice refresh account --reset-versions" in logged(sluice, "sweep refused")[0]["why"]

        table.answers["full"] = Page([row(1, 400), row(3, 401)], delta="d5")
        done = sluice.command("refresh", "account", "--reset-versions", "--confirm", "crm")
        assert done.returncode == 0, done.stdout + done.stderr
        offset = workspace.state["checkpoints"].find_one({"_id": "mark:crm"})["offset"]
        assert {number: lives for number, (_, lives) in scene.stored().items()} == {
            1: True, 2: False, 3: True}
        assert scene.stored()[3] == (2 * (401 + offset), True)
