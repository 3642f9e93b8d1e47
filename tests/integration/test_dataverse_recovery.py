"""What breaks beneath a followed table heals by itself: lost messages, servers that go away, owners that
end or are killed."""

import time

import pytest

import books
from dataverse_script import Page, Script, row
from feeds import logged
from gate import Gate
from hooks import Hooks
from process import wait_until
from readiness import wait_trouble
from tables import Scripted, Tables, lose_lease, owns


@pytest.fixture
def gate(sim):
    way = Gate(sim.port)
    yield way
    way.close()


def purge(workspace, *kinds):
    with workspace.rabbit.connect() as connection:
        for kind in kinds:
            connection.channel().queue_purge(f"{workspace.exchange}.{kind}")


def test_lost_messages_are_read_again_even_by_a_successor(sim, workspace, gate):
    scene = Tables(sim, workspace, {"account": 120}, url=gate.url, ledger_deadline="1s")
    ingest = scene.sluice("ingest", role="ingest")
    apply = scene.sluice("apply", role="apply")
    scene.wait_followed()
    scene.wait_books_closed()

    apply.stop()
    scene.change(count=25)
    gone = scene.delete(count=5)
    wait_until(lambda: scene.runs(state="published"), 20, "a run that waits for its ledger")
    scene.change(count=25)
    wait_until(lambda: len(scene.runs(state="published")) >= 2, 20, "another one")
    gate.shut()  # nothing is read again until then
    purge(workspace, "fast", "bulk")
    wait_until(lambda: logged(ingest, "ledger does not close, reading again"), 20, "the rewind")
    wait_until(lambda: not scene.runs(state="published"), 20, "the runs being given up")
    ingest.kill()
    gate.open()
    ingest.start()
    apply.start()
    scene.wait_followed()
    assert scene.tombstones().keys() == set(gone)
    assert len(scene.runs(state="failed")) >= 2
    scene.check_nothing_lost(failed=None)


def test_lost_messages_are_read_again_at_once_however_rare_polls_are(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 50}, every="1h", max_interval="1h", ledger_deadline="1s")
    scene.sluice("ingest", role="ingest")
    apply = scene.sluice("apply", role="apply")
    scene.register()
    scene.wait_followed()
    scene.wait_books_closed()
    apply.stop()
    scene.change(count=5)
    wait_until(lambda: scene.runs(state="published"), 20, "a run that waits for its ledger")
    purge(workspace, "fast")
    apply.start()
    scene.wait_followed()
    scene.check_nothing_lost(failed=None)


def test_who_wins_the_source_back_polls_at_once_however_rare_polls_are(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers["full"] = Page([row(1, 100)], delta="d1")
        scene = Scripted(script, workspace, every="1h")
        scene.sluice()
        scene.wait_stored({1: (200, True)})
        wait_until(lambda: "d1" in scene.newest(), 20, "the full read's end being journaled")
        time.sleep(1)  # no poll is due any more
        asked = table.count("d1")
        lose_lease(workspace)
        wait_until(lambda: table.count("d1") > asked, 40, "another poll")


def test_every_run_in_the_ledger_is_known_however_its_process_ended(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 120}, {"new_visit": 20}, run_span="1h")
    sluice = scene.sluice()
    scene.register()
    scene.wait_followed("account")
    runs = workspace.state["runs"]
    for end in (sluice.kill, sluice.stop):
        scene.change(count=10)
        scene.change("new_visit", count=5)
        scene.wait_followed()
        wait_until(lambda: len(runs.distinct("feed", {"state": "streaming"})) == 2, 20, "two runs")
        begun = set(runs.distinct("_id", {"state": "streaming"}))
        assert books.unknown_runs(workspace) == []
        end()
        sluice.start(ready_timeout_s=30)
        over = {"state": {"$in": ["abandoned", "published", "done"]}}  # what was read back comes once: ended in order
        wait_until(lambda: begun <= set(runs.distinct("_id", over)), 40, "the runs being closed")
    for table in ("account", "new_visit"):
        sluice.config["feeds"][table]["run_span"] = "300ms"
    sluice.write_config()
    sluice.restart(ready_timeout_s=30)
    sluice.wait_for(lambda: owns(sluice), 20, "an owner")
    scene.change(count=3)
    scene.check_nothing_lost()
    assert books.unknown_runs(workspace) == []


def test_nothing_is_published_again_while_nobody_applies(sim, workspace):
    scene = Tables(sim, workspace, {"account": 120}, ledger_deadline="1s")
    ingest = scene.sluice("ingest", role="ingest")
    apply = scene.sluice("apply", role="apply")
    scene.wait_followed()
    scene.wait_books_closed()
    assert apply.stop() == 0
    scene.delete(count=5)
    wait_until(lambda: scene.runs(state="published"), 20, "a run that waits for its ledger")
    scene.change(count=25)  # read at once: with its run all is in the queue
    wait_until(lambda: len(scene.runs(state="published")) == 2, 20, "another one")
    depth = workspace.queue_depth("fast")
    ingest.wait_for(lambda: ingest.metrics().get("sluice_ledger_waits_total", feed="account") >= 3, 20,
                    "three deadlines")
    assert workspace.queue_depth("fast") == depth > 0
    assert len(logged(ingest, "a ledger is late because nobody applies: its rows are waited for")) == 1
    assert not logged(ingest, "ledger does not close, reading again")
    apply.start()
    scene.check_nothing_lost(failed=None)  # from now on a second may be short


def test_mongodb_and_dynamics_go_away_in_mid_polls(sim, own_mongo, workspace, gate):
    scene = Tables(sim, workspace, {"account": 200, "contact": 100}, url=gate.url)
    sluice = scene.sluice()
    scene.wait_followed()
    sim.dataverse("load", tables=["account", "contact"], per_s=20, seconds=10)
    changes = scene.stats()["changes"]
    wait_until(lambda: scene.stats()["changes"] > changes + 5, 20, "some changes")

    gate.shut()
    wait_trouble(sluice, "feed account", timeout_s=20)
    own_mongo.pause()
    gate.open()
    wait_trouble(sluice, "mongo", timeout_s=20)
    wait_trouble(sluice, "source crm", timeout_s=20)  # its lease cannot be renewed
    own_mongo.resume()
    sluice.wait_ready(30)
    scene.check_nothing_lost(40, failed=None)
    assert not [line for line in sluice.log_lines() if line["level"] == "error"]


def test_one_of_two_owns_the_source_and_the_other_takes_over_at_once(sim, workspace):
    scene = Tables(sim, workspace, {"account": 50, "contact": 20})
    lease = {"lease": "30s"}  # much longer than a busy machine takes for what comes at once
    one = scene.sluice("one", mongo=lease)
    wait_until(lambda: owns(one), 20, "an owner")
    two = scene.sluice("two", mongo=lease)
    assert not owns(two), "standing by is no trouble"
    epochs = []
    for owner, standby, end in ((one, two, "stop"), (two, one, "kill"), (one, two, "kill")):
        scene.change(count=10)
        scene.wait_followed()
        begun = time.monotonic()
        owner.kill() if end == "kill" else owner.stop()
        wait_until(lambda: owns(standby), 10, "the other being the owner")
        took_s = time.monotonic() - begun
        scene.change(count=10)
        scene.delete(count=2)
        scene.wait_followed()
        assert took_s < 8, f"{took_s:.1f} s after {end}"
        epochs.append(workspace.state["leases"].find_one({"_id": "source:crm"})["epoch"])
        owner.start(ready_timeout_s=20)
    assert epochs == [2, 3, 4]
    scene.check_nothing_lost()
