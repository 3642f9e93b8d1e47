"""Full reads and what follows from them: a token that expired, deletions that only a sweep finds, reads
and sweeps that are killed half way."""

import time

import pytest

from dataverse_script import Page, Script, row
from feeds import logged
from gate import Gate
from mailbox import Mailbox
from process import wait_until
from tables import Scripted, Tables, status


@pytest.fixture
def gate(sim):
    way = Gate(sim.port)
    yield way
    way.close()


def out_of_sight(scene, gate, **delete):
    """Deletes rows and voids the delta tokens while nobody can read the deletions; gives their ids."""
    gate.shut()
    gone = scene.delete(**delete)
    scene.sim.dataverse("expire")
    gate.open()
    return set(gone)


def begun(sluice):
    """How many full reads began because a link was void."""
    return len(logged(sluice, "full read begins", level="warn"))


def test_an_expired_token_leads_to_a_full_read_and_a_sweep_within_its_limit(sim, workspace, gate):
    with Mailbox() as mailbox:
        scene = Tables(sim, workspace, {"account": 300, "contact": 40}, url=gate.url,
                       sweep_limit=20)
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.wait_followed()

        gone = out_of_sight(scene, gate, count=30)
        scene.wait_followed()
        assert scene.tombstones().keys() == gone
        wait_until(lambda: begun(sluice) == 2, 20, "both tables being read again")
        assert scene.tombstones("contact") == {}
        assert sluice.metrics().value("sluice_full_reads_total", feed="account") == 1
        scene.check_nothing_lost()

        # Too many to believe it: they stay, and people are told.
        more = out_of_sight(scene, gate, count=100)
        note = sluice.wait_for(lambda: status(sluice)["note"], 20, "the refusal")
        assert "100 of 270" in note and "sweep_limit (20 %)" in note
        wait_until(lambda: mailbox.mails, 20, "an alert")
        assert "sweep refused" in mailbox.mails[0]["Subject"]
        assert note in mailbox.mails[0].get_content().replace("\n", " ")
        assert scene.tombstones().keys() == gone and more <= scene.live().keys()
        created = set(scene.create(5))
        wait_until(lambda: created <= scene.live().keys(), 20, "new rows all the same")
        assert sluice.stop() == 0

        scene.settings["sweep_limit"] = 100
        sluice = scene.sluice(alerts=mailbox.alerts())
        wait_until(lambda: status(sluice)["note"] == note, 20, "the note: a restart forgets nothing")
        sim.dataverse("expire", table="account")
        scene.wait_followed()
        assert scene.tombstones().keys() == gone | more
        wait_until(lambda: not status(sluice)["note"], 20, "no note any more")
        scene.check_nothing_lost()


SOON = {"write_timeout": "1s"}  # a sweep waits for twice as long


def test_a_token_that_expired_is_understood_whatever_the_status(sim, workspace, gate):
    scene = Tables(sim, workspace, {"account": 100}, url=gate.url, sweep_limit=50)
    sluice = scene.sluice(mongo=SOON)
    scene.wait_followed()
    gone, kinds = set(), [{"dv_expired_status": 403}, {"dv_expired_status": 503},
                          {"dv_expired_status": 400, "dv_expired_codeless": True}]
    for number, kind in enumerate(kinds, 1):
        scene.switch(**kind)
        gone |= out_of_sight(scene, gate, count=2)
        wait_until(lambda: len(logged(sluice, "full read published")) == 1 + number, 10,
                   f"a full read after {kind}")
        polls = status(sluice)["polls"]
        wait_until(lambda: status(sluice)["polls"] > polls + 1, 10, "a poll that works")
    scene.wait_followed()
    assert scene.tombstones().keys() == gone and begun(sluice) == len(kinds)
    scene.check_nothing_lost()


def test_a_token_that_has_grown_old_leads_to_a_full_read_and_a_sweep(sim, workspace):
    scene = Tables(sim, workspace, {"account": 100}, sweep_limit=50)
    sluice = scene.sluice(mongo=SOON)
    scene.wait_followed()
    scene.wait_books_closed()
    assert sluice.stop() == 0
    gone = scene.delete(count=10)
    scene.switch(dv_token_seconds=6)  # more than may pass between two polls of a busy machine
    time.sleep(7)
    sluice.start(ready_timeout_s=30)
    scene.wait_followed()
    assert scene.tombstones().keys() == set(gone)
    assert begun(sluice) == 1 and scene.stats()["expired"] == 1
    scene.check_nothing_lost()


def test_no_sweep_follows_a_full_read_with_dead_rows(sim, workspace, gate):
    scene = Tables(sim, workspace, {"account": 200}, url=gate.url, sweep_limit=100)
    sluice = scene.sluice()
    scene.wait_followed()
    scene.switch(dv_wrong_type_next=2)
    gone = out_of_sight(scene, gate, count=8)
    note = sluice.wait_for(lambda: status(sluice)["note"], 20, "the refusal")
    assert ": rows of the full read are dead letters, so" in note
    assert not scene.tombstones()
    letter = workspace.state["dead"].find_one({"feed": "account"})
    assert letter["code"] == "untypable" and letter["id"] in scene.live()

    sim.dataverse("expire")
    scene.wait_followed()
    assert scene.tombstones().keys() == gone
    scene.check_nothing_lost()


def test_a_full_read_that_is_killed_goes_on_at_a_page(sim, workspace):
    scene = Tables(sim, workspace, {"account": 800}, source={"page_size": 20}, run_span="100ms")
    scene.switch(dv_delay_ms=300)  # 12 s: it is still under way when somebody has looked
    sluice = scene.sluice()
    pages = 0
    for _ in range(3):
        pages += 5
        wait_until(lambda: scene.stats()["next_links"] >= pages
                   and scene.checkpoint().get("newest", "").startswith("page "), 30, "pages")
        sluice.kill()
        pages = scene.stats()["next_links"]
        sluice.start()
    scene.wait_followed()
    asked = sim.get("stats")["requests"]["dv_page"]["200"]
    assert 40 <= asked <= 40 + 3 * 12, f"{asked} pages for 40"
    assert [line["read"] for line in logged(sluice, "full read begins")] == ["account-full-000001"]
    scene.switch(dv_delay_ms=0)
    scene.check_nothing_lost()
    assert {doc["_sluice"]["seen"] for doc in scene.documents().find()} == {"account-full-000001"}


def test_a_full_read_under_way_begins_anew_with_another_page_size(sim, workspace):
    scene = Tables(sim, workspace, {"account": 400}, source={"page_size": 20}, run_span="100ms")
    scene.switch(dv_delay_ms=200, dv_pages_counted=True)
    sluice = scene.sluice()
    wait_until(lambda: scene.stats()["next_links"] >= 8
               and scene.checkpoint().get("newest", "").startswith("page "), 30, "pages")
    sluice.kill()
    scene.switch(dv_delay_ms=0)
    sluice.config["sources"]["crm"]["page_size"] = 25
    sluice.write_config()
    sluice.start()
    scene.wait_followed()
    scene.check_nothing_lost()
    assert [line.get("why") for line in logged(sluice, "full read begins")][1:] == \
        ["the configuration asks for another page_size"]
    sluice.config["sources"]["crm"]["page_size"] = 30
    sluice.write_config()
    assert sluice.restart(ready_timeout_s=20) == 0
    scene.change(count=3)
    scene.check_nothing_lost()
    assert len(logged(sluice, "full read begins")) == 2  # a table that is followed is not read again


def test_what_changed_during_a_full_read_is_read_at_its_end_however_rare_polls_are(workspace):
    with Script(account=["name"]) as script:
        script["account"].answers = {"full": Page([row(1, 100)], next="p2"),
                                     "p2": Page([row(2, 101)], delta="d1"),
                                     "d1": Page([row(1, 110)], delta="d2")}
        scene = Scripted(script, workspace, every="1h")
        scene.sluice()
        scene.wait_stored({1: (220, True), 2: (202, True)})


def test_a_sweep_that_is_killed_or_lost_is_done_again(sim, workspace, gate):
    scene = Tables(sim, workspace, {"account": 200}, url=gate.url, sweep_limit=50,
                   ledger_deadline="1s")
    ingest = scene.sluice("ingest", role="ingest")
    apply = scene.sluice("apply", role="apply")
    scene.wait_followed()
    scene.wait_books_closed()
    # Between its full read and its sweep the appliers go away.
    apply.stop()
    gone = out_of_sight(scene, gate, count=30)
    wait_until(lambda: scene.checkpoint().get("sweeping") == "account-full-000002", 20,
               "the full read being published")
    ingest.sigstop()
    apply.start()
    last = scene.runs()[-1]
    wait_until(lambda: booked(workspace, last) == last["entities"][0]["batches"], 20, "its ledger")
    apply.kill()
    ingest.sigcont()
    wait_until(lambda: logged(ingest, "sweep begins"), 20, "a sweep")
    ingest.kill()
    ingest.start()
    newest = last["number"]
    wait_until(lambda: scene.runs(number={"$gt": newest}, state="published"), 20, "it in the queue")
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_purge(f"{workspace.exchange}.bulk")
    wait_until(lambda: scene.runs(state="failed"), 20, "the ledger that does not close")
    assert not scene.tombstones()
    apply.start()
    scene.wait_followed()
    assert len(logged(ingest, "sweep begins")) >= 2
    assert scene.tombstones().keys() == gone
    wait_until(lambda: not scene.checkpoint().get("sweeping"), 20, "the end of the sweep")
    scene.check_nothing_lost(failed=None)


def booked(workspace, run):
    return workspace.state["ledger"].count_documents({"_id.run": run["_id"],
                                                      "_id.attempt": run["attempt"]})


def test_another_database_is_filled_from_the_beginning(sim, workspace):
    scene = Tables(sim, workspace, {"account": 120})
    sluice = scene.sluice()
    scene.wait_followed()
    assert sluice.stop() == 0
    other = workspace.client[workspace.database + "_other"]
    try:
        sluice.config["mongo"]["database"] = other.name
        sluice.write_config()
        sluice.start(ready_timeout_s=30)
        wait_until(lambda: other["account"].count_documents({}) == 120, 20, "all rows there, too")
    finally:
        sluice.stop()
        workspace.client.drop_database(other)


def test_a_feed_that_was_renamed_sweeps_what_it_stored_under_its_old_name(sim, workspace):
    with Mailbox() as mailbox:
        scene = Tables(sim, workspace, {"account": 200}, sweep_limit=50)
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.wait_followed()
        gone = set(scene.delete(count=10))
        scene.wait_followed()
        assert sluice.stop() == 0
        more = set(scene.delete(count=20))

        # Somebody who does not say that it is the same feed is told.
        feed = sluice.config["feeds"].pop("account")
        sluice.config["feeds"]["customers"] = feed
        sluice.write_config()
        sluice.start(ready_timeout_s=30)
        wait_until(lambda: mailbox.mails, 20, "an alert")
        text = mailbox.mails[0].get_content().replace("\n", " ")
        assert "documents of a feed 'account'" in text and '"formerly": "account"' in text
        wait_until(lambda: scene.checkpoint("customers").get("newest", "").startswith("delta"), 20,
                   "the full read's end")
        assert scene.tombstones().keys() == gone and sluice.stop() == 0

        feed["formerly"] = ["account"]
        sluice.write_config()
        sim.dataverse("expire", table="account")
        sluice.start(ready_timeout_s=30)
        scene.wait_followed()
        assert scene.tombstones().keys() == gone | more
        assert sluice.stop() == 0


def test_changes_are_followed_while_a_sweep_takes_its_time(sim, workspace, gate):
    scene = Tables(sim, workspace, {"account": 200}, url=gate.url, sweep_limit=50)
    sluice = scene.sluice(mongo={"write_timeout": "3s"})
    scene.wait_followed()
    scene.wait_books_closed()

    def hold_counting(mode):
        workspace.client.admin.command(
            "configureFailPoint", "failCommand", mode=mode,
            data={"failCommands": ["aggregate"], "namespace": f"{workspace.database}.account",
                  "blockConnection": True, "blockTimeMS": 20_000})

    hold_counting("alwaysOn")
    try:
        gone = out_of_sight(scene, gate, count=30)
        wait_until(lambda: scene.checkpoint().get("sweeping") == "account-full-000002", 20, "the sweep")
        changed, deleted = set(scene.change(count=20)), set(scene.delete(count=5))
        wanted = {row["id"]: 2 * row["versionnumber"] for row in scene.rows(fields=0)
                  if "deleted" not in row}
        wait_until(lambda: {one: v for one, v in scene.live().items() if one not in gone} == wanted, 30,
                   "the changes")
        assert scene.tombstones().keys() == deleted and changed
        assert scene.checkpoint()["sweeping"]
    finally:
        hold_counting("off")
    scene.wait_followed(timeout_s=60)
    assert scene.tombstones().keys() == gone | deleted
    wait_until(lambda: not scene.checkpoint().get("sweeping"), 20, "the sweep's end")
    scene.check_nothing_lost()
    assert sluice.stop() == 0
