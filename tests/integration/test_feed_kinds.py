"""A feed's name that goes from one kind of source to another: runs of the old kind, which may have been
written under greater epochs and wait for their ledgers, are none of the new one's."""

import datetime
import itertools

import pytest

import feeds
from process import free_port, wait_until
from readiness import wait_trouble
from tables import Tables
from test_ingest import TOKEN, Poster

FEED = "account"  # so are the table and, as an entity, the posts called
RECORDS = 20
LONG_AGO = datetime.datetime(2000, 1, 1)


class Packages:
    def __init__(self, sim, workspace):
        self.sim, self.workspace = sim, workspace
        feeds.add_records(sim, RECORDS)
        feeds.make_project(sim, "Vendors")

    def sluice(self, name, **changes):
        wanted = {FEED: feeds.feed(self.sim, collection="vendors", every="1h")}
        changes = {"log": {"form": "json"}, **changes}
        return self.workspace.sluice(feeds.configure(self.workspace, self.sim, wanted, **changes), name)

    def begin(self):
        self.workspace.state["leases"].insert_one(
            {"_id": f"feed:{FEED}", "epoch": 9, "expires_at": LONG_AGO})
        sluice = self.sluice("before", role="ingest")
        feeds.wait_run(sluice, self.workspace, feed_name=FEED, state="published")
        sluice.stop()

    def check(self, sluice):
        run = sluice.wait_for(lambda: self.workspace.state["runs"].find_one(
            {"feed": FEED, "execution_id": {"$gt": ""}, "state": "done"}), 30, "an export being done")
        assert run["entities"][0]["read"] == RECORDS
        assert self.workspace.db["vendors"].count_documents({}) == RECORDS


class Table:
    def __init__(self, sim, workspace):
        self.tables = Tables(sim, workspace, {FEED: 80}, ledger_deadline="2s")
        self.runs = workspace.state["runs"]

    def sluice(self, name, start=True, **changes):
        return self.tables.sluice(name, start, **changes)

    def begin(self):
        sluice = self.sluice("before", role="ingest")
        sluice.restart(ready_timeout_s=30)  # under a greater epoch than posts and the first packages
        sluice.wait_for(lambda: self.runs.find_one({"state": "published", "epoch": {"$gt": 1}}), 30,
                        "a run")
        sluice.stop()

    def check(self, sluice):
        self.tables.wait_followed()
        sluice.wait_for(lambda: "safe" in self.tables.checkpoint(), 30, "a link that is safe")
        assert len(feeds.logged(sluice, "full read begins")) == 1


class Posts:
    collection = "posted"

    def __init__(self, _, workspace):
        self.workspace, self.port = workspace, free_port()

    def sluice(self, name, **changes):
        source = {"type": "ingest", "listen": f"127.0.0.1:{self.port}", "token": TOKEN}
        feed = {"source": "in", "collection": self.collection, "key": ["id"], "run_span": "300ms",
                "ledger_deadline": "1s"}
        config = self.workspace.config(sources={"in": source}, feeds={FEED: feed},
                                       log={"form": "json"}, **changes)
        return self.workspace.sluice(config, name, ready_timeout_s=30)

    def post(self):
        Poster(self.port, FEED).accepted([{"id": "a"}])

    def begin(self):
        sluice = self.sluice("before", role="ingest")
        self.post()
        sluice.wait_for(lambda: self.workspace.state["runs"].find_one({"state": "published"}), 30, "a run")
        sluice.stop()

    def check(self, sluice):
        """Also those that were published before are looked at, and left alone."""
        wait_until(lambda: self.others_are_old(2), 20, "runs that nobody has finished for a while")
        self.post()
        sluice.wait_for(lambda: self.workspace.state["runs"].find_one(
            {"_id": {"$regex": f"^{FEED}-.*-"}, "state": "done"}), 30, "a run of posts being done")
        assert self.workspace.db["posted"].count_documents({}) == 1

    def others_are_old(self, seconds):
        since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
        return not self.workspace.state["runs"].count_documents({"state_at": {"$gt": since}})


@pytest.mark.parametrize("before, after", [
    pytest.param(*pair, id="-to-".join(kind.__name__.lower() for kind in pair))
    for pair in itertools.permutations((Packages, Table, Posts), 2)])
def test_a_feed_that_becomes_one_of_another_kind_works(sim, workspace, before, after):
    before(sim, workspace).begin()
    kind = after(sim, workspace)
    kind.check(kind.sluice("after"))


@pytest.mark.parametrize("between", [Packages, Posts])
def test_a_table_that_was_something_else_meanwhile_is_read_in_full(sim, workspace, between):
    """Its link would bring the changes alone, and nobody looks at what the others have left."""
    table = Table(sim, workspace)
    sluice = table.sluice("before")
    table.check(sluice)
    table.tables.wait_books_closed()
    sluice.stop()
    kind = between(sim, workspace)
    sluice = kind.sluice("between")
    kind.check(sluice)
    sluice.stop()
    sluice = table.sluice("after")
    sluice.wait_for(lambda: feeds.logged(sluice, "full read begins"), 20, "a full read")
    table.check(sluice)
    table.tables.wait_books_closed()
    sluice.restart(ready_timeout_s=30)  # its log goes on
    table.check(sluice)


def test_a_table_does_not_go_on_among_what_was_posted_under_its_name(sim, workspace):
    table = Table(sim, workspace)
    sluice = table.sluice("before")
    table.check(sluice)
    sluice.stop()
    posts = Posts(sim, workspace)
    posts.collection = FEED
    sluice = posts.sluice("between")
    posts.post()
    wait_until(lambda: workspace.db[FEED].find_one({"_id": "a"}), 20, "what was posted")
    sluice.stop()
    sluice = table.sluice("after", start=False)
    sluice.start()
    wait_trouble(sluice, f"feed {FEED}", "holds versions that are not of Dataverse")

    workspace.db.drop_collection(FEED)
    sluice.restart(ready_timeout_s=30)
    table.check(sluice)


@pytest.mark.parametrize("kind, read", [(Packages, f"{FEED}-full-000003"), (Table, f"{FEED}-000003")],
                         ids=["packages", "table"])
def test_a_refresh_that_the_other_kind_has_begun_is_over(sim, workspace, kind, read):
    """Epochs of the two do not compare, and while it is open nobody can ask for another one."""
    refreshes = workspace.state["refreshes"]
    refreshes.insert_one({"_id": FEED, "number": 1, "state": "reading", "read": read, "epoch": 9, "dry_run": False,
                          "force": False, "reset": "", "asked_at": LONG_AGO, "state_at": LONG_AGO})
    scene = kind(sim, workspace)
    sluice = scene.sluice("after")
    wait_until(lambda: refreshes.find_one()["state"] == "failed", 20, "its end")
    assert "of another kind" in refreshes.find_one()["note"]
    scene.check(sluice)
