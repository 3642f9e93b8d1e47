"""Full reads and what follows from them: a token that expired, deletions that only a sweep finds, reads
and sweeps that are killed half way."""

import pytest

from feeds import logged
from gate import Gate
from mailbox import Mailbox
from process import wait_until
from tables import Tables, status


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
        sluice = scene.sluice(mail=mailbox.settings())
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
        sluice = scene.sluice(mail=mailbox.settings())
        assert status(sluice)["note"] == note, "a restart forgets nothing"
        sim.dataverse("expire", table="account")
        scene.wait_followed()
        assert scene.tombstones().keys() == gone | more
        wait_until(lambda: not status(sluice)["note"], 20, "no note any more")
        scene.check_nothing_lost()


def test_no_sweep_follows_a_full_read_with_dead_rows(sim, workspace, gate):
    scene = Tables(sim, workspace, {"account": 200}, url=gate.url, sweep_limit=100)
    sluice = scene.sluice()
    scene.wait_followed()
    scene.switch(dv_wrong_type_next=1)
    gone = out_of_sight(scene, gate, count=8)
    note = sluice.wait_for(lambda: status(sluice)["note"], 20, "the refusal")
    assert "1 rows of the full read are dead letters" in note
    assert not scene.tombstones()
    letter = workspace.state["dead"].find_one({"feed": "account"})
    assert letter["code"] == "untypable" and letter["id"] in scene.live()

    sim.dataverse("expire")
    scene.wait_followed()
    assert scene.tombstones().keys() == gone
    scene.check_nothing_lost()


def test_a_full_read_that_is_killed_goes_on_at_a_page(sim, workspace):
    scene = Tables(sim, workspace, {"account": 800}, source={"page_size": 20}, run_span="100ms")
    scene.switch(dv_delay_ms=50)
    sluice = scene.sluice()
    pages = 0
    for _ in range(3):
        pages += 8
        wait_until(lambda: scene.stats()["next_links"] >= pages, 30, "pages")
        assert scene.checkpoint()["newest"].startswith("page ")
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
    wait_until(lambda: len(logged(ingest, "sweep begins")) >= 2, 20, "another one")
    newest = last["number"]
    wait_until(lambda: scene.runs(number={"$gt": newest}, state="published"), 20, "it in the queue")
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_purge(f"{workspace.exchange}.bulk")
    wait_until(lambda: scene.runs(state="failed"), 20, "the ledger that does not close")
    assert not scene.tombstones()
    apply.start()
    scene.wait_followed()
    assert scene.tombstones().keys() == gone
    wait_until(lambda: not scene.checkpoint().get("sweeping"), 20, "the end of the sweep")
    scene.check_nothing_lost(failed=None)


def booked(workspace, run):
    return workspace.state["ledger"].count_documents({"_id.run": run["_id"],
                                                      "_id.attempt": run["attempt"]})
