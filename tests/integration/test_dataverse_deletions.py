"""Deletions carry an id and nothing else: they must win against every older row, and against no
younger one, whoever is killed or paused in between."""

import json
import threading
import time

from dataverse_script import Page, Script, guid, row
from feeds import logged
from gate import Gate
from process import wait_until
from readiness import wait_trouble
from scene import seeded
from tables import Scripted, Tables, end_lease, owns, status
from test_appliers import copies_of_everything, publish, take_all

A, B, C = 1, 2, 3


def test_a_deletion_wins_against_a_row_that_a_killed_process_published(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 100, name="a"), row(B, 101, name="b")], delta="d1"),
                         "d1": Page([row(A, 200, name="a2")], delta="d2")}
        scene = Scripted(script, workspace, run_span="1h")
        ingest = scene.sluice("ingest", role="ingest")
        wait_until(lambda: scene.newest().endswith("d1"), 20, "the full read in the journal")
        wait_until(lambda: workspace.queue_depth("fast") >= 1, 20, "the change in the queue")
        ingest.kill()
        assert scene.newest().endswith("d1"), "nothing says that the change was read"

        table.answers["d1"] = Page(deleted=[A], delta="d2")
        table.answers["d2"] = Page(delta="d2")
        scene.sluice("ingest-2", role="ingest")
        wait_until(lambda: table.count("d2") > 2, 20, "the deletion being read")
        apply = scene.sluice("apply", role="apply")
        scene.wait_stored({A: (401, False), B: (202, True)})
        assert apply.metrics().get("sluice_rows_total", stage="dead") == 0
        scene.check_versions()
        assert not script.strangers


def test_a_recreation_beats_the_deletion_that_is_told_with_it(workspace):
    """Also when rows younger than it were read before: while a full read goes on, or when it is all
    read again from an older link."""
    with Script(account=["name"]) as script:
        table = script["account"]
        # 500 is younger than the beginning of the full read, which d1 takes up, and older than 900.
        table.answers = {
            "full": Page([row(A, 100), row(B, 110), row(C, 120)], next="p2"),
            "p2": Page([row(4, 900)], delta="d1"),
            "d1": Page([row(A, 500)], [B], next="d1b", deleted_first=True),
            "d1b": Page([row(B, 510)], [A, C], delta="d2")}
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        scene.wait_stored({A: (1000, True), B: (1020, True), C: (1801, False), 4: (1800, True)})

        # Later: deleted and created again between two polls, and told both ways; then apart.
        table.answers["d2"] = Page([row(C, 950)], [C, A], delta="d3", deleted_first=True)
        scene.wait_stored({A: (1801, False), B: (1020, True), C: (1900, True), 4: (1800, True)})
        table.answers["d3"] = Page([row(A, 960)], delta="d4")
        table.answers["d4"] = Page(deleted=[A, B], delta="d5")
        scene.wait_stored({A: (1921, False), B: (1921, False), C: (1900, True), 4: (1800, True)})
        table.answers["d5"] = Page([row(A, 970)], [A], delta="d6")
        scene.wait_stored({A: (1940, True), B: (1921, False), C: (1900, True), 4: (1800, True)})
        scene.check_versions()
        assert not script.strangers and sluice.stop() == 0


def test_a_recreation_that_cannot_be_typed_beats_the_deletion_that_is_told_with_it(workspace):
    """It may be stored already: the feed has gone back to an older link, and the table has changed since."""
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 500, name="a"), row(B, 900)], delta="d1"),
                         "d1": Page([row(A, 500, name=17)], [A, B], delta="d2", deleted_first=True)}
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        scene.wait_stored({A: (1000, True), B: (1801, False)})
        letters = workspace.state["dead"]
        wait_until(lambda: letters.count_documents({"code": "untypable", "id": guid(A)}), 20, "the letter")
        wait_until(lambda: "d2" in scene.newest(), 20, "its run being journaled")
        assert scene.stored()[A] == (1000, True)
        scene.check_versions()
        assert not script.strangers and sluice.stop() == 0


def test_an_owner_that_slept_cannot_publish_what_its_successor_saw_deleted(workspace):
    """It has the row in hand, believes in its lease, and wakes up. Only the mark can stop it."""
    with Script(account=["name"]) as script:
        table = script["account"]
        asked, answer = threading.Event(), threading.Event()

        def slowly():
            asked.set()
            assert answer.wait(60)
            return Page([row(A, 200, name="a2")], delta="d2")

        table.answers["full"] = Page([row(A, 100), row(B, 101)], delta="d1")
        scene = Scripted(script, workspace)
        scene.sluice("apply", role="apply")
        zombie = scene.sluice("one", role="ingest")
        scene.wait_stored({A: (200, True), B: (202, True)})
        other = scene.sluice("two", role="ingest")  # before: its start might outlast the lease
        table.answers["d1"] = slowly
        assert asked.wait(20)
        zombie.sigstop()
        answer.set()
        table.answers["d1"] = Page(deleted=[A], delta="d2")
        assert end_lease(workspace) == 1
        scene.wait_stored({A: (203, False), B: (202, True)})
        assert owns(other)
        zombie.sigcont()
        wait_until(lambda: logged(zombie, "source has another owner now"), 20, "the fence")
        table.answers["d2"] = Page([row(B, 300)], delta="d3")
        scene.wait_stored({A: (203, False), B: (600, True)})
        wait_until(lambda: zombie.ready() and not owns(zombie), 20, "the old owner standing by")
        assert scene.stored()[A] == (203, False)
        scene.check_versions()


def test_what_was_read_before_the_source_was_lost_is_not_published_when_it_is_won_again(rabbit, workspace):
    """The first owner cannot publish. The second one sees the row deleted, ends, and the first one, which still
    has the row in hand, owns the source again."""
    gate = Gate(rabbit.port)
    try:
        with Script(account=["name"]) as script:
            table = script["account"]
            table.answers["full"] = Page([row(A, 100), row(B, 101)], delta="d1")
            scene = Scripted(script, workspace, run_span="1s")
            scene.sluice("apply", role="apply")
            first = scene.sluice("one", role="ingest",
                                 broker={"url": f"amqp://guest:guest@127.0.0.1:{gate.port}/"})
            scene.wait_stored({A: (200, True), B: (202, True)})
            gate.shut()
            wait_trouble(first, "broker", "")
            table.answers["d2"] = Page([], delta="d2")
            table.answers["d1"] = Page([row(B, 110)], delta="d2")
            wait_until(lambda: logged(first, "cannot deliver, waiting for the destination"), 20, "a batch before it")
            table.answers["d3"] = Page([], delta="d3")
            table.answers["d2"] = Page([row(B, 120)], delta="d3")  # this one is taken all the same
            wait_until(lambda: table.count("d3"), 20, "the one behind it")
            time.sleep(0.5)
            table.answers["e"] = Page([], delta="e")
            table.answers["d3"] = Page([row(A, 200, name="a2")], delta="e")
            wait_until(lambda: table.count("e"), 20, "the row being read, of which nobody knows")
            time.sleep(2)

            table.answers["d1"] = Page([row(B, 120)], deleted=[A], delta="d4")
            table.answers["d4"] = Page([], delta="d4")
            first.sigstop()
            second = scene.sluice("two", role="ingest")
            end_lease(workspace)
            wait_until(lambda: not scene.stored()[A][1], 20, "the deletion")
            deleted = scene.stored()[A]
            assert deleted[0] < 400
            first.sigcont()
            wait_until(lambda: owns(second) and not owns(first), 20, "another owner")
            wait_until(lambda: "d4" in scene.newest(), 20, "the deletion being journaled")
            assert second.stop() == 0
            wait_until(lambda: owns(first), 20, "the first one owning it again")
            gate.open()
            table.answers["d4"] = Page([row(B, 300)], delta="d5")
            scene.wait_stored({A: deleted, B: (600, True)})
            scene.check_versions()
    finally:
        gate.close()


def test_deleted_and_created_ten_times_with_two_appliers_and_every_message_again(sim, workspace):
    random = seeded()
    scene = Tables(sim, workspace, {"account": 60})
    channel, copies = copies_of_everything(workspace)
    ingest = scene.sluice("ingest", role="ingest", limits={"batch_rows": 7})
    appliers = [scene.sluice(f"apply-{i}", role="apply") for i in (1, 2)]
    scene.wait_followed()
    ids = [line["id"] for line in scene.rows(fields=0)]
    for turn in range(10):
        polls = status(ingest)["polls"]
        some = random.sample(ids, 20)
        scene.delete(ids=some)
        if turn % 2:  # told apart
            wait_until(lambda: status(ingest)["polls"] > polls + 1, 20, "a poll")
        scene.recreate(ids=some[:16])
        if turn in (3, 6):
            appliers[turn == 6].kill()
            appliers[turn == 6].start()
        ids = [one for one in ids if one not in some[16:]] + scene.create(4)
    scene.check_nothing_lost()
    assert len(scene.tombstones()) == 40

    # Everything once more, in any order: nothing changes any more.
    messages = take_all(channel, copies)
    random.shuffle(messages)
    before, rows = contents(scene), consumed(appliers)
    again = sum(json.loads(body)["count"] for _, _, body in messages)
    publish(channel, workspace, messages)
    channel.connection.close()
    wait_until(lambda: consumed(appliers) >= rows + again, 20, f"{again} rows again")
    assert contents(scene) == before
    scene.check_nothing_lost()


def contents(scene):
    """{id: document} without what a full read leaves on one that it brought again."""
    return {one["_id"]: {**one, "_sluice": (one["_sluice"]["v"], one["_sluice"].get("deleted"))}
            for one in scene.documents().find()}


def consumed(appliers):
    """Rows that were applied or found stale, over some appliers."""
    return sum(one.metrics().get("sluice_rows_total", stage=stage)
               for one in appliers for stage in ("applied", "stale"))


def test_ids_that_are_held_are_bounded_for_all_tables_together(workspace):
    """One answer with too many leads to a full read; two that are too much together follow each other."""
    most = range(1, 451)
    with Script(account=["name"], contact=["name"]) as script:
        account, contact = script["account"], script["contact"]
        reached, go_on = threading.Event(), threading.Event()
        for table in (account, contact):
            table.answers["full"] = Page([row(one, 100) for one in range(1, 1001)], delta="d1")
        scene = Scripted(script, workspace, sweep_limit=100)
        sluice = scene.sluice(limits={"held_ids": "64KiB"})
        for table in script.tables:
            scene.wait_stored({one: (200, True) for one in range(1, 1001)}, table)

        def rest():
            reached.set()
            assert go_on.wait(60)
            return Page([row(2000, 100)], delta="d3")

        account.answers["d2"] = rest
        account.answers["d1"] = Page(deleted=most, next="d2")
        assert reached.wait(20)
        contact.answers["d1"] = Page(deleted=most, delta="d2")
        contact.answers["d2"] = Page(delta="d2")
        wait_trouble(sluice, "feed contact", "the ids of several answers take more than limits.held_ids")
        go_on.set()
        gone = {one: (201, False) for one in most}
        alive = {one: (200, True) for one in range(451, 1001)}
        scene.wait_stored({**gone, **alive}, "contact")
        scene.wait_stored({**gone, **alive, 2000: (200, True)})
        assert not logged(sluice, "full read begins", level="warn")

        contact.answers["full"] = Page([row(1, 300)], delta="d4")
        contact.answers["d2"] = Page(deleted=range(451, 3001), delta="d3")
        wait_until(lambda: logged(sluice, "full read begins", level="warn"), 20, "a full read")
        assert "more than limits.held_ids" in logged(sluice, "full read begins", level="warn")[0]["why"]
        wait_until(lambda: {one for one, (_, lives) in scene.stored("contact").items() if lives} == {1},
                   20, "the sweep")
        scene.check_versions()
