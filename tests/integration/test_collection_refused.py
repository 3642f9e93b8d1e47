"""A collection that MongoDB does not let sluice write to (here a view, or one that can have no index for
tombstones; a missing grant looks the same) holds up no other feed: its batches are set aside after a while, and
come back by a replay."""

import pytest

import books
from cli import dead, replay
from feeds import logged
from process import free_port, wait_until
from readiness import wait_trouble
from test_ingest import FEED, TOKEN, Poster

LATE_S = 60  # it is refused for 15 s before it gives way


REFUSED = pytest.mark.parametrize("refused", [
    pytest.param({"viewOn": "things", "pipeline": []}, id="view"),
    pytest.param({"capped": True, "size": 100_000}, id="capped"),
])


def two_feeds(workspace, refused):
    """A sluice with a feed into a collection that is refused, and one into another; and who posts to them."""
    port = free_port()
    workspace.db.create_collection("mirror", **refused)
    sluice = workspace.sluice(workspace.config(
        feeds={"things": FEED, "mirror": {**FEED, "collection": "mirror"}},
        sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{port}", "token": TOKEN}}), ready_timeout_s=30)
    return sluice, Poster(port, "mirror"), Poster(port)


@REFUSED
def test_batches_for_a_collection_that_is_refused_do_not_hold_up_the_others(workspace, refused):
    sluice, mirror, things = two_feeds(workspace, refused)
    mirror.accepted({"id": "m0"})
    wait_trouble(sluice, "apply fast", "mirror")
    things.accepted({"id": "t0"})
    wait_until(lambda: workspace.db["things"].count_documents({}) == 1, 20, "the other feed's row")
    for number in range(1, 6):  # more than there are writers
        mirror.accepted({"id": f"m{number}"})
    for number in range(1, 6):
        things.insist({"id": f"t{number}"}, LATE_S)
    wait_until(lambda: workspace.db["things"].count_documents({}) == 6, LATE_S, "the other feed's rows")
    wait_until(lambda: workspace.queue_depth("unreadable") == 6, LATE_S, "the batches set aside")
    assert "mirror" in logged(sluice, "a batch has no destination and is set aside")[0]["error"]

    workspace.db.drop_collection("mirror")
    replay(sluice)
    wait_until(lambda: workspace.db["mirror"].count_documents({}) == 6, 30, "the rows brought back")
    wait_until(lambda: sluice.ready(), 20, "no trouble")


def test_a_feed_whose_rows_do_not_arrive_does_not_hold_up_the_replay_of_another(workspace):
    for name in ("things", "mirror"):
        workspace.db.create_collection(name, validator={"amount": {"$exists": True}})
    port = free_port()
    sluice = workspace.sluice(workspace.config(
        feeds={"things": FEED, "mirror": {**FEED, "collection": "mirror"}},
        sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{port}", "token": TOKEN}}), ready_timeout_s=30)
    Poster(port, "mirror").accepted([{"id": "m0"}, {"id": "m1"}])  # the feed with most letters is the first
    Poster(port).accepted({"id": "t0"})
    wait_until(lambda: len(books.letters(workspace)) == 3, 30, "the letters")
    workspace.db.drop_collection("mirror")
    workspace.db.create_collection("mirror", viewOn="things", pipeline=[])
    workspace.db.command("collMod", "things", validator={})
    assert sluice.stop() == 0
    alone = dead(sluice, "replay", all=True, wait="1s")  # nobody applies: the next feed is not tried
    assert alone.status == 1 and alone.err.startswith("sluice: feed 'mirror'"), alone.err
    sluice.start()
    wait_until(lambda: workspace.queue_depth("bulk") == 0, 30, "somebody who applies")
    answer = dead(sluice, "replay", all=True, wait="4s", json=True)
    assert answer.status == 1 and answer.objects[-1]["removed"] == 1, answer.out
    assert "feed 'mirror'" in answer.err and "were they set aside" in answer.err
    assert [row["_id"] for row in workspace.db["things"].find()] == ["t0"]
    assert {letter["id"] for letter in books.letters(workspace)} == {"m0", "m1"}


@REFUSED
def test_nor_do_they_when_nothing_else_is_written(workspace, refused):
    """More of them one after the other than there are writers: no other row tells that MongoDB takes any."""
    sluice, mirror, things = two_feeds(workspace, refused)
    for number in range(4):
        mirror.accepted({"id": f"m{number}"})
    wait_until(lambda: workspace.queue_depth("unreadable") == 4, LATE_S, "the batches set aside")
    things.accepted({"id": "t0"})
    wait_until(lambda: workspace.db["things"].count_documents({}) == 1, 20, "the other feed's row")
    wait_until(lambda: sluice.ready(), 20, "no trouble")
