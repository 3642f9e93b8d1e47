"""sluice refresh, of exports: a full export that somebody asked for, and the deletion of what it did not
bring. Files never tell of deletions; only this finds them."""

import datetime
import subprocess

import pytest

import feeds
from cli import replay
from mailbox import Mailbox
from process import wait_until
from scene import Scene

FULL = "VendorsFull"


class Refreshed(Scene):
    """A scene with a second project for full exports, and records that are deleted."""

    def __init__(self, sim, workspace, records=200, **settings):
        settings.setdefault("full_definition_group", FULL)
        super().__init__(sim, workspace, records=records, **settings)
        feeds.make_project(sim, FULL, [self.label], self.company, mode="full")

    def delete(self, count):
        """Deletes records in Dynamics 365; gives the ids of their documents."""
        answer = self.sim.post("delete", {"entity": self.label, "company": self.company,
                                          "count": count})
        return {f"{self.company.lower()}|{key}" for key in answer["keys"]}

    def live(self):
        return {one["_id"] for one in
                self.documents.find({"_sluice.deleted": {"$exists": False}}, {"_id": 1})}

    def tombstones(self):
        return {one["_id"] for one in self.documents.find({"_sluice.deleted": True}, {"_id": 1})}

    def refresh(self):
        return self.workspace.state["refreshes"].find_one({"_id": self.name})

    def check(self):
        """What lives in Dynamics 365 lives here, and nothing else; no version ever fell."""
        expected = feeds_truth(self)
        wait_until(lambda: self.live() == expected, 20, "the living documents")
        self.check_versions()


def feeds_truth(scene):
    return {record["key"] for record in scene.sim.truth(scene.label, scene.company)}


def asked(sluice, *words):
    """Starts a refresh that is not waited for here; gives the process."""
    return subprocess.Popen([sluice.binary, "refresh", *words, "-c", sluice.config_path], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_a_refresh_deletes_what_the_full_export_did_not_bring(sim, workspace):
    scene = Refreshed(sim, workspace)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    gone = scene.delete(12)
    scene.wait_next_run()
    assert gone <= scene.live(), "exports do not tell of deletions"

    tried = sluice.command("refresh", "vendors", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert {line.split("\t")[1] for line in tried.stdout.splitlines()} == gone
    assert all(line.startswith("vendors\t") for line in tried.stdout.splitlines())
    assert "brought all but 12 of 200 documents; nothing was deleted" in tried.stderr
    assert gone <= scene.live()

    done = sluice.command("refresh", "vendors")
    assert done.returncode == 0, done.stderr
    assert "all but 12 of 200 documents; those were deleted" in done.stdout
    assert scene.tombstones() == gone
    scene.check()
    runs = scene.runs(sweeps={"$exists": True})
    assert len(runs) == 1 and runs[0]["state"] == "done" and runs[0]["entities"][0]["read"] == 12
    assert len(scene.runs(full=True, state="done")) == 2
    assert scene.refresh()["state"] == "done" and scene.refresh()["number"] == 2

    # What was deleted may be created again; a sweep is no end.
    scene.sim.post("change", {"entity": scene.label, "company": scene.company,
                              "keys": [sorted(gone)[0]]})
    wait_until(lambda: sorted(gone)[0] in scene.live(), 20, "the new record")
    again = sluice.command("refresh", "vendors")
    assert "all but 0 of 189 documents; none was deleted" in again.stdout, again.stdout
    scene.check()


def test_a_feed_that_was_renamed_sweeps_what_it_stored_under_its_old_name(sim, workspace):
    with Mailbox() as mailbox:
        scene = Refreshed(sim, workspace)
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.wait_run_done_after(0)
        gone = scene.delete(12)
        sluice.stop()

        # Somebody who does not say that it is the same feed is told.
        feed = sluice.config["feeds"].pop("vendors")
        sluice.config["feeds"]["creditors"] = feed
        sluice.write_config()
        sluice.start(ready_timeout_s=30)
        done = sluice.command("refresh", "creditors")
        assert "all but 0 of 188 documents; none was deleted" in done.stdout, done.stdout
        wait_until(lambda: mailbox.mails, 20, "an alert")
        text = mailbox.mails[0].get_content().replace("\n", " ")
        assert "documents of a feed 'vendors'" in text and '"formerly": "vendors"' in text
        assert gone <= scene.live() and sluice.stop() == 0

        feed["formerly"] = "vendors"
        sluice.write_config()
        sluice.start(ready_timeout_s=30)
        done = sluice.command("refresh", "creditors")
        assert "all but 12 of 200 documents; those were deleted" in done.stdout, done.stdout
        assert scene.tombstones() == gone
        scene.check()


def test_a_dead_letter_of_a_row_that_is_gone_is_not_replayed_after_a_refresh(sim, workspace):
    """No tombstone tells of it, since it was never stored."""
    scene = Refreshed(sim, workspace, records=10)
    workspace.db.command("collMod", scene.collection, validator={"_sluice.deleted": True})
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    workspace.db.command("collMod", scene.collection, validator={})
    gone = scene.delete(1)
    assert sluice.command("refresh", "vendors").returncode == 0
    sums, refused = replay(sluice, status=1)
    assert (sums["found"], sums["rows"]) == (10, 0)
    assert all("was read in full after it" in one["refused"] for one in refused)
    assert scene.live() == feeds_truth(scene) and not gone & scene.live()


def test_dead_letters_are_replayed_after_a_refresh_that_brought_changes_only(sim, workspace):
    """What it did not bring is not gone, and may be nowhere but in its letter."""
    scene = Refreshed(sim, workspace, records=10)
    feeds.make_project(sim, FULL, [scene.label], scene.company, mode="incremental")
    refused, others = sorted(feeds_truth(scene))[:3], sorted(feeds_truth(scene))[3:]
    workspace.db.command("collMod", scene.collection, validator={"_id": {"$nin": refused}})
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    assert sluice.command("refresh", "vendors").returncode == 0  # the first one brings all
    workspace.db.command("collMod", scene.collection, validator={})

    def refresh_after_changes(keys):
        sim.post("change", {"entity": scene.label, "company": scene.company, "keys": keys})
        scene.wait_next_run()
        return sluice.command("refresh", "vendors").stdout

    assert "brought changes only, so 6 of 7 documents" in refresh_after_changes(others[:1])
    sums, _ = replay(sluice, all=True, dry_run=True)
    assert (sums["found"], sums["rows"], sums["refused"]) == (6, 6, 0)
    assert "all but 0 of 7 documents" in refresh_after_changes(others)
    sums, _ = replay(sluice)
    assert sums["removed"] == 6 and scene.live() == feeds_truth(scene)


def test_too_many_deletions_are_refused_and_told_unless_forced(sim, workspace):
    with Mailbox() as mailbox:
        scene = Refreshed(sim, workspace)
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.wait_run_done_after(0)
        gone = scene.delete(21)
        refused = sluice.command("refresh", "vendors")
        assert refused.returncode == 1
        assert "21 of 200 documents in 'vendors' would be deleted" in refused.stdout
        assert "sweep_limit (10 %)" in refused.stdout
        assert "sluice refresh vendors --force" in refused.stdout
        assert not scene.tombstones()
        wait_until(lambda: mailbox.mails, 10, "an alert")
        assert "sweep refused" in mailbox.mails[0]["Subject"]
        forced = sluice.command("refresh", "vendors", "--force")
        assert forced.returncode == 0, forced.stdout
        assert forced.stdout.count("what it did not bring is counted again after 11 s") == 1
        assert scene.tombstones() == gone
        scene.check()


def test_a_full_export_of_changes_only_is_told(sim, workspace):
    """Its manifest says so. What it brings is kept, and what it does not bring, too."""
    scene = Refreshed(sim, workspace)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    said = "the manifest of a full export says that it brings changes only: set the entity to " \
           "'Full push only' in the data project"
    assert sluice.command("refresh", "vendors").returncode == 0
    assert not feeds.logged(sluice, said)
    feeds.make_project(sim, FULL, [scene.label], scene.company, mode="incremental")
    assert sluice.command("refresh", "vendors").returncode == 0  # the first one brings all
    assert feeds.logged(sluice, said, feed="vendors", project=FULL, entity=scene.label)
    refused = sluice.command("refresh", "vendors")
    assert refused.returncode == 1
    assert "by its manifest the export brought changes only, so 200 of 200 documents" in \
        refused.stdout, refused.stdout
    scene.check()


def test_dead_rows_of_the_full_export_keep_all_documents_even_when_forced(sim, workspace):
    scene = Refreshed(sim, workspace)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    scene.delete(5)
    sim.post("switches", {"project": FULL, "bad_rows": {"untypable": 3}})
    refused = sluice.command("refresh", "vendors", "--force")
    assert refused.returncode == 1
    assert "rows of the full read are dead letters" in refused.stdout, refused.stdout
    assert not scene.tombstones()
    assert len(scene.live()) == 200


def test_an_export_without_the_entitys_file_deletes_nothing_even_when_forced(sim, workspace):
    scene = Refreshed(sim, workspace)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    feeds.make_project(sim, FULL, [feeds.CUSTOMERS], scene.company, mode="full")
    feeds.add_records(sim, 3, feeds.CUSTOMERS, scene.company)
    refused = sluice.command("refresh", "vendors", "--force")
    assert refused.returncode == 1
    assert "has no file of entity 'Vendors V3'" in refused.stdout, refused.stdout
    assert len(scene.live()) == 200 and not scene.tombstones()


def test_documents_of_other_feeds_and_newer_ones_stay(sim, workspace):
    scene = Refreshed(sim, workspace, sweep_limit=100)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    newest = max(one["_sluice"]["v"] for one in scene.documents.find())
    scene.documents.insert_many([
        {"_id": "other", "_sluice": {"v": 1, "feed": "others", "run": "others-000001"}},
        {"_id": "newer", "_sluice": {"v": newest + (1 << 40), "feed": "vendors"}},
        {"_id": "mine"},
        {"_id": "old", "_sluice": {"v": 1, "feed": "vendors", "run": "vendors-000001"}}])
    assert sluice.command("refresh", "vendors").returncode == 0
    assert scene.tombstones() == {"old"}
    assert {"other", "newer", "mine"} <= scene.live()


def test_a_refresh_survives_kills_at_every_step_and_asking_twice_is_one(sim, workspace):
    scene = Refreshed(sim, workspace, records=400)
    sim.post("switches", {"project": FULL, "export_ms": 1500, "slow_body_bytes_per_s": 60_000})
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    gone = scene.delete(30)
    asking = [asked(sluice, "vendors"), asked(sluice, "vendors")]
    # A state that has passed by while the machine stood still is killed in a later one.
    later = ["executing", "packaged", "streaming", "published", "done"]
    for state in ("executing", "streaming"):
        states = later[later.index(state):]
        wait_until(lambda: scene.runs(full=True, state={"$in": states}), 30, f"the full export {state}")
        sluice.kill()
        sluice.start()
    wait_until(lambda: (scene.refresh() or {}).get("state") in ("sweeping", "done"), 30, "the sweep")
    sluice.kill()
    sluice.start()
    for one in asking:
        said, _ = one.communicate(timeout=60)
        assert one.returncode == 0, said
        assert "those were deleted" in said
    assert scene.refresh()["number"] == 1
    assert len(scene.runs(full=True)) == 1 and len(scene.runs(sweeps={"$exists": True})) == 1
    assert scene.tombstones() == gone
    scene.check()


def test_deletions_that_are_lost_on_their_way_are_published_again(sim, workspace):
    scene = Refreshed(sim, workspace, ledger_deadline="1s")
    ingest = scene.sluice("ingest", role="ingest")
    apply = scene.sluice("apply", role="apply")
    scene.wait_run_done_after(0)
    gone = scene.delete(10)
    asking = asked(ingest, "vendors")
    # Between the ledger of the export and the deletions the appliers go away.
    wait_until(lambda: (scene.refresh() or {}).get("state") in ("sweeping", "done"), 30, "the sweep", 0.005)
    apply.kill()
    with workspace.rabbit.connect() as connection:
        channel = connection.channel()
        wait_until(lambda: scene.runs(sweeps={"$exists": True}, state="published")
                   or scene.tombstones(), 30, "the deletions being published")
        channel.queue_purge(f"{workspace.exchange}.bulk")
    apply.start()
    said, _ = asking.communicate(timeout=60)
    assert asking.returncode == 0, said
    assert scene.tombstones() == gone
    scene.check()


def test_a_successor_ends_the_refresh_and_the_owner_of_old_changes_nothing(sim, workspace):
    scene = Refreshed(sim, workspace)
    one = scene.sluice("one", role="ingest")
    apply = scene.sluice("apply", role="apply")
    scene.wait_run_done_after(0)
    two = scene.sluice("two", role="ingest")
    gone = scene.delete(8)
    sim.post("switches", {"project": FULL, "export_ms": 6000})  # ample time to find it and stop its owner
    asking = asked(one, "vendors")
    wait_until(lambda: scene.runs(full=True, state="executing"), 30, "the full export")
    one.sigstop()
    workspace.state["leases"].update_one({"_id": "feed:vendors"},
                                         {"$set": {"expires_at": datetime.datetime(2000, 1, 1)}})
    said, _ = asking.communicate(timeout=60)
    assert asking.returncode == 0, said
    before = scene.refresh()
    assert before["epoch"] == 2 and scene.tombstones() == gone
    one.sigcont()
    wait_until(lambda: one.ready(), 40, "it standing by")
    scene.check()
    assert scene.refresh() == before
    assert {run["epoch"] for run in scene.runs(full=True)} == {2}
    wait_until(lambda: two.ready() and apply.ready(), 20, "the others having no trouble")


def test_an_increment_is_not_taken_for_the_full_export_that_an_owner_of_old_named(sim, workspace):
    """It woke up with the run before as its newest, and noted the name of the next one."""
    scene = Refreshed(sim, workspace)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    sim.post("switches", {"export_ms": 8000})
    slow = scene.newest()["number"] + 1  # the one before may be over at once
    run = sluice.wait_for(lambda: scene.runs(state="executing", number=slow), 30, "an increment")[0]
    assert not run["full"]
    assert sluice.command("refresh", scene.name, "--force", "--no-wait").returncode == 0
    stale = {"state": "reading", "read": run["_id"], "note": "", "epoch": 0,
             "parts": [{"collection": scene.collection, "floor": 0, "live": 0, "unseen": 0}]}
    assert workspace.state["refreshes"].update_one({"_id": scene.name, "epoch": 0},
                                                   {"$set": stale}).matched_count
    sim.post("switches", {"export_ms": 0})
    sluice.wait_for(lambda: scene.refresh()["state"] == "done", 60, "the refresh")
    assert scene.refresh()["read"] != run["_id"] and not scene.tombstones()
    scene.check()


def test_a_refresh_waits_in_the_state_until_somebody_owns_the_feed(sim, workspace):
    scene = Refreshed(sim, workspace)
    sluice = scene.sluice(start=False)
    answer = sluice.command("refresh", "vendors", "--no-wait")
    assert answer.returncode == 0 and "was asked for" in answer.stdout
    other = sluice.command("refresh", "vendors", "--dry-run")
    assert other.returncode == 1 and "with other options is under way" in other.stderr
    sluice.start(ready_timeout_s=30)
    wait_until(lambda: scene.refresh()["state"] == "done", 30, "the refresh")
    assert scene.newest()["full"] or scene.runs(full=True)


def test_a_full_export_that_fails_is_the_end_of_the_refresh_with_its_reason(sim, workspace):
    scene = Refreshed(sim, workspace)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    sim.post("switches", {"project": FULL, "fail_next": 1})
    answer = sluice.command("refresh", "vendors")
    assert answer.returncode == 1
    assert "failed" in answer.stdout and "the export failed in the environment" in answer.stdout
    assert [line["next"] for line in feeds.logged(sluice, "run failed")] == ["refresh the feed again"]
    assert len(scene.live()) == 200
    assert sluice.command("refresh", "vendors").returncode == 0


@pytest.mark.parametrize("words, said", [
    (["vendor"], 'no feed "vendor": did you mean "vendors"?'),
    (["vendors"], "has no full_definition_group"),
    (["posted"], "have them posted again"),
    (["vendors", "--reset-versions", "--force"], "no full_definition_group"),
    ([], "needs the name of a feed"),
], ids=["unknown", "no-group", "ingest", "reset", "none"])
def test_what_cannot_be_refreshed_is_refused_with_the_reason(sim, workspace, words, said):
    posted = {"source": "hook", "key": ["id"], "collection": "posted"}
    config = feeds.configure(workspace, sim, {"vendors": feeds.feed(sim), "posted": posted})
    config["sources"]["hook"] = {"type": "ingest", "listen": "127.0.0.1:0", "token": "t" * 32}
    sluice = workspace.sluice(config, start=False)
    answer = sluice.command("refresh", *words)
    assert answer.returncode in (1, 2) and said in answer.stderr, answer.stderr
