"""Several application users of one environment, each a source of its own: a feed moves from one to the
other, and an event rings tables of both."""

import datetime

import pytest

import books
from feeds import logged
from hooks import Hooks
from process import wait_until
from tables import Tables, owns, status

SECOND = "aaaaaaaa-0000-4000-8000-000000000002"

pytestmark = pytest.mark.sim(args=["--client-id", SECOND])


def with_second_user(config):
    """The configuration with a source crm2, another user of crm's environment."""
    first = config["sources"]["crm"]
    config["sources"]["crm2"] = {**first, "auth": {**first["auth"], "client_id": SECOND}}
    return config


def requests(scene, client):
    return scene.stats()["users"][client]["requests"]


def test_a_deletion_wins_and_then_a_recreation_although_the_feed_has_moved(sim, workspace):
    """The new source has read none of the rows: neither those in MongoDB nor those that wait in the queue."""
    scene = Tables(sim, workspace, {"contact": 20, "account": 50},
                   feeds={"contact": {"source": "crm2"}})
    # The old source has had many owners; the epochs of the two do not compare.
    workspace.state["leases"].insert_one({"_id": "source:crm", "epoch": 20,
                                          "expires_at": datetime.datetime(2000, 1, 1)})
    ingest, apply = (workspace.sluice(with_second_user(scene.config(role=role)), role, ready_timeout_s=30)
                     for role in ("ingest", "apply"))
    scene.wait_followed()
    stored = scene.change(count=1)
    scene.wait_followed()
    scene.wait_books_closed()
    assert scene.checkpoint()["epoch"] > 20
    apply.stop()
    waiting = scene.change(ids=[next(one for one in scene.live() if one not in stored)])
    wait_until(lambda: workspace.queue_depth("fast"), 20, "the change in the queue")
    assert ingest.stop() == 0

    gone = stored + waiting
    scene.delete(ids=gone)
    asked = requests(scene, SECOND)
    ingest.config["feeds"]["account"]["source"] = "crm2"
    ingest.write_config()
    ingest.start(ready_timeout_s=30)
    wait_until(lambda: status(ingest)["polls"] > 1, 20, "a poll")
    apply.start()
    scene.wait_followed()
    assert scene.tombstones().keys() == set(gone)
    moved, = logged(ingest, "feed moved to another source")
    assert (moved["feed"], moved["from"], moved["to"]) == ("account", "crm", "crm2")
    assert len(logged(ingest, "full read begins", feed="account")) == 1, "it goes on where it was"
    assert requests(scene, SECOND) > asked

    scene.recreate(ids=gone)
    scene.wait_followed()
    assert scene.tombstones() == {}
    scene.wait_books_closed()
    assert ingest.restart(ready_timeout_s=30) == 0
    scene.delete(ids=gone)
    scene.check_nothing_lost()
    assert len(logged(ingest, "feed moved to another source")) == 1
    assert scene.tombstones().keys() == set(gone)


def test_a_sweep_reaches_what_another_source_stored_although_nothing_tells_of_it(sim, workspace):
    """The feed's checkpoint and the old source's mark were lost: the documents alone say how new they are."""
    scene = Tables(sim, workspace, {"contact": 20, "account": 50}, sweep_limit=50,
                   feeds={"contact": {"source": "crm2"}})
    sluice = workspace.sluice(with_second_user(scene.config(mongo={"write_timeout": "1s"})),
                              ready_timeout_s=30)
    scene.wait_followed()
    scene.wait_books_closed()
    assert sluice.stop() == 0
    workspace.state["checkpoints"].delete_many({"_id": {"$in": ["feed:account", "mark:crm"]}})
    gone = scene.delete(count=5)
    sluice.config["feeds"]["account"]["source"] = "crm2"
    sluice.write_config()
    sluice.start(ready_timeout_s=30)
    scene.wait_followed()
    assert scene.tombstones().keys() == set(gone)
    scene.recreate(ids=gone)
    scene.check_nothing_lost()


def test_a_feed_whose_versions_were_begun_anew_is_followed_by_another_source(sim, workspace):
    """What the old source stored has versions far above those of the service, which the new one reads."""
    scene = Tables(sim, workspace, {"contact": 20, "account": 50}, feeds={"contact": {"source": "crm2"}})
    sluice = workspace.sluice(with_second_user(scene.config(mongo={"write_timeout": "1s"})),
                              ready_timeout_s=30)
    scene.wait_followed()
    asked = sluice.command("refresh", "account", "--reset-versions", "--confirm", "crm")
    assert asked.returncode == 0, asked.stderr
    wait_until(lambda: min(scene.live().values()) > 2 * scene.stats()["version"], 20, "greater versions")
    scene.wait_books_closed()
    assert sluice.stop() == 0
    sluice.config["feeds"]["account"]["source"] = "crm2"
    sluice.write_config()
    sluice.start(ready_timeout_s=30)
    for turn in range(2):
        scene.change(count=20)
        scene.change("contact", count=5)
        gone = scene.delete(count=4)
        scene.delete("contact", count=1)
        wait_until(lambda: not scene.differences("account") and not scene.differences("contact"), 20,
                   "the changes")
        assert scene.tombstones().keys() == set(gone)
        scene.recreate(ids=gone)
        wait_until(lambda: not scene.tombstones(), 20, "the rows that were created again")
        scene.wait_books_closed()
        assert sluice.restart(ready_timeout_s=30) == 0
    assert len(logged(sluice, "versions begin anew", source="crm2")) == 1
    scene.check_versions()


def test_rows_that_another_user_reads_back_from_now_on_are_deleted_and_created_again(sim, workspace):
    """What the first reader has stored is younger than all that the second one has read."""
    scene = Hooks(sim, workspace, {"contact": 20, "account": 2}, {"new_visit": 0, "new_tag": 2},
                  relationship=True, hook={"doorbell": ["crm", "crm2"]},
                  feeds={"contact": {"source": "crm2"}})
    sluice = workspace.sluice(with_second_user(scene.config()), start=False)
    # The first reader has had many owners; the epochs of the two do not compare.
    workspace.state["leases"].insert_one({"_id": "source:crm", "epoch": 20,
                                          "expires_at": datetime.datetime(2000, 1, 1)})
    sluice.start(ready_timeout_s=30)
    sluice.wait_for(lambda: owns(sluice), 20, "an owner")
    scene.register()
    scene.wait_followed()
    pair = dict(relationship="new_account_tag", target=next(iter(scene.live("account"))))
    tags = [row["id"] for row in scene.all_rows("new_tag")]
    stored = scene.create(4, "new_visit")
    sim.dataverse("associate", **pair, related=tags[0])
    scene.wait_followed()
    wait_until(lambda: len(scene.stored_associations()) == 1, 10, "the association")
    scene.wait_books_closed()
    assert sluice.stop() == 0

    sluice.config["sources"]["hook"]["doorbell"] = ["crm2", "crm"]
    sluice.write_config()
    sluice.start(ready_timeout_s=30)
    sluice.wait_for(lambda: owns(sluice), 20, "an owner")
    gone = scene.delete("new_visit", ids=stored[:2])
    sim.dataverse("disassociate", **pair, related=tags[0])
    wait_until(lambda: scene.tombstones("new_visit").keys() == set(gone), 20, "the deletions")
    scene.recreate("new_visit", ids=gone[:1])
    scene.wait_followed()
    scene.check_nothing_lost()
    assert books.check_all(workspace) > 0
    moved = logged(sluice, "feed moved to another source")
    assert {(one["feed"], one["from"], one["to"]) for one in moved} == {
        (feed, "crm", "crm2") for feed in ("new_visit", "new_tag", "tags")}


def test_an_event_rings_the_tables_of_each_source_that_the_webhook_names(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 20, "contact": 20}, hook={"doorbell": ["crm", "crm2"]},
                  feeds={"contact": {"source": "crm2"}})
    sluice = workspace.sluice(with_second_user(scene.config()), ready_timeout_s=30)
    sluice.wait_for(lambda: owns(sluice), 20, "an owner")
    scene.register()
    scene.wait_followed()
    for table in ("account", "contact", "account"):
        scene.change(table, count=3)
        scene.wait_followed(table, timeout_s=5)  # polls are 30 seconds apart
    scene.wait_posts()  # the first of three brought all rows
    wait_until(lambda: (status(sluice, "account")["bells"], status(sluice, "contact")["bells"]) == (6, 3), 10,
               "all bells")
    scene.check_nothing_lost()
