"""The oracle of the torture run finds what is wrong: each of the five, in a database that was doctored."""

import datetime

import bson
import pytest
from bson import Int64

from chronicle import Chronicle
from history import keep_history
from oracle import Books, Row, Truth, check_returns, compare
from process import wait_until
from verdict import KINDS, count

NOW = datetime.datetime(2026, 11, 29)
LATER = NOW + datetime.timedelta(days=1)


def document(key, version, **fields):
    return {"_id": key, "id": key, **fields, "_sluice": {"v": Int64(version), "feed": "things"}}


def tombstone(key, version):
    return {"_id": key, "_sluice": {"v": Int64(version), "feed": "things", "deleted": True}}


TRUTH = Truth("things", {"a": Row(4, {"id": "a", "x": 1}), "b": Row(6, deleted=True)})
RIGHT = [document("a", 4, x=1), tombstone("b", 7)]


def kinds(findings):
    return [one.kind for one in findings]


@pytest.mark.parametrize("stored, found", [
    (RIGHT, []),
    (RIGHT[:1], []),  # nobody need remember a row that sluice never saw
    (RIGHT[1:], ["lost"]),
    ([document("a", 3, x=1), RIGHT[1]], ["lost"]),
    ([tombstone("a", 5), RIGHT[1]], ["lost"]),
    ([document("a", 5, x=1), RIGHT[1]], ["wrong"]),
    ([document("a", 4, x=2), RIGHT[1]], ["wrong"]),
    ([document("a", 4, x=1.0), RIGHT[1]], ["wrong"]),
    ([document("a", 4), RIGHT[1]], ["wrong"]),
    ([document("a", 4, x=1, y=1), RIGHT[1]], ["wrong"]),
    ([{**RIGHT[0], "_sluice": {"v": "4"}}, RIGHT[1]], ["wrong"]),
    ([RIGHT[0], document("b", 8)], ["resurrected"]),
    ([RIGHT[0], {**tombstone("b", 7), "x": 1}], ["wrong"]),
    ([*RIGHT, document("c", 1)], ["wrong"]),
])
def test_documents_are_compared_with_the_truth(stored, found, workspace):
    workspace.db["things"].insert_many(stored)
    assert kinds(compare(workspace.db, TRUTH)) == found


def test_a_version_may_be_told_by_a_column(workspace):
    workspace.db["things"].insert_one(document("a", 77, n=3))
    for version, found in ((3, []), (4, ["lost"]), (2, ["wrong"])):
        truth = Truth("things", {"a": Row(version, {"id": "a", "n": 3})}, column="n")
        assert kinds(compare(workspace.db, truth)) == found


# --- what happened on the way ---

STORY = {
    "all is well": ([document("a", 1), document("a", 2), tombstone("a", 3), document("a", 4)], []),
    "a version falls": ([document("a", 2), document("a", 1)], ["rolled_back"]),
    "and rises again": ([document("a", 2), document("a", 1), document("a", 2)], ["rolled_back"]),
    "content changes within a version": ([document("a", 2, x=1), document("a", 2, x=2)], ["wrong"]),
    "a deletion overtaken": ([document("a", 3), tombstone("a", 2)], ["rolled_back"]),
    "a deleted one lives below its deletion": (
        [document("a", 1), tombstone("a", 3), document("a", 2)], ["resurrected"]),
    "a column falls while the version rises": (
        [document("a", 1, n=2), document("a", 2, n=1)], ["rolled_back"]),
    "an old row returns with a new version": (
        [document("a", 1, n=1), tombstone("a", 3), document("a", 4, n=1)], ["resurrected"]),
    "a document without a version": ([document("a", 1), {"_id": "a"}], ["wrong"]),
    "a document removed": ([document("a", 1), None], ["lost"]),
    "a tombstone removed": ([tombstone("a", 1), None], []),
}


@pytest.mark.parametrize("name", STORY)
def test_each_change_is_judged_as_it_happens(name, workspace):
    versions, found = STORY[name]
    since = keep_history(workspace.db, "things")
    chronicle = Chronicle(workspace.db, since, {"things": "n"})
    things = workspace.db["things"]
    for one in versions:
        if one is None:
            things.delete_one({"_id": "a"})
        else:
            things.replace_one({"_id": one["_id"]}, one, upsert=True)
    assert kinds(chronicle.finish()) == found
    assert chronicle.events == len(versions)


def test_the_chronicle_goes_on_after_the_server_was_away(own_mongo, workspace):
    since = keep_history(workspace.db, "things")
    chronicle = Chronicle(workspace.db, since)
    workspace.db["things"].insert_one(document("a", 2))
    wait_until(lambda: chronicle.events == 1, 20, "the first event")
    own_mongo.kill()
    own_mongo.start()
    workspace.db["things"].replace_one({"_id": "a"}, document("a", 1))
    assert kinds(chronicle.finish()) == ["rolled_back"] and chronicle.events == 2


def test_one_that_came_back_must_have_been_deleted_in_between():
    returns = [("account", "a", 4, 10), ("account", "b", None, 10)]
    assert check_returns(returns, {("account", "a"): [2, 6], ("account", "b"): [8]}) == []
    wrong = check_returns(returns, {("account", "a"): [2, 12], ("account", "b"): [8]})
    assert kinds(wrong) == ["resurrected"] and wrong[0].id == "a"


# --- the books ---

def run(number=1, state="done", read=10, dead=0, superseded=1, batches=2):
    return {"_id": f"things-{number:06}", "feed": "things", "number": number, "state": state,
            "attempt": 1, "created_at": NOW, "error": "", "entities": [
                {"name": "Things", "read": read, "dead": dead, "superseded": superseded,
                 "batches": batches, "finished": True}]}


def entry(number, batch, read=5, applied=4, stale=1, dead=0, superseded=0, last=False):
    return {"_id": {"run": f"things-{number:06}", "attempt": 1, "entity": "Things", "batch": batch},
            "read": read, "rows": read - superseded, "applied": applied, "stale": stale,
            "dead": dead, "superseded": superseded, "last": last}


LEDGER = [entry(1, 0), entry(1, 1, applied=3, superseded=1, last=True)]


@pytest.mark.parametrize("runs, ledger, found", [
    ([run()], LEDGER, 0),
    ([run(state="failed"), run(2, batches=0, read=0, superseded=0)], [], 0),
    ([run(state="abandoned")], [], 0),
    ([run(state="abandoned")], LEDGER[:1], 0),
    ([run(state="abandoned")], [entry(1, 0, applied=3)], 1),
    ([run(state="streaming")], [], 1),
    ([run()], LEDGER[:1], 1),
    ([run()], [LEDGER[0], entry(1, 1, applied=2, superseded=1, last=True)], 1),
    ([run(read=11)], LEDGER, 1),
    ([run(dead=1)], LEDGER, 1),  # and no letter
    ([run(state="published")], LEDGER, 1),
    ([run(state="failed")], [], 1),  # and nothing followed
    ([run(state="failed"), run(2, "published")], [], 2),
])
def test_every_row_of_every_run_is_accounted_for(runs, ledger, found, workspace):
    workspace.state["runs"].insert_many(runs)
    if ledger:
        workspace.state["ledger"].insert_many(ledger)
    findings = Books(workspace.state).findings(LATER)
    assert kinds(findings) == ["unaccounted"] * found


def test_a_run_of_posts_may_have_been_cut_off(workspace):
    workspace.state["runs"].insert_one(run(state="streaming"))
    assert Books(workspace.state, posted=["things"]).findings(LATER) == []
    workspace.state["runs"].insert_one(run(2, state="published"))
    assert kinds(Books(workspace.state, posted=["things"]).findings(LATER)) == ["unaccounted"]


def test_a_run_that_began_after_the_last_fault_may_be_under_way(workspace):
    workspace.state["runs"].insert_one(run(state="streaming"))
    assert Books(workspace.state).findings(NOW) == []
    assert len(Books(workspace.state).open_runs(LATER)) == 1


def test_the_last_line_counts_each_kind(workspace):
    workspace.db["things"].insert_many([document("b", 8), document("c", bson.Int64(1))])
    assert count(compare(workspace.db, TRUTH)) == dict(
        zip(KINDS, (1, 0, 1, 1, 0))), "lost a, resurrected b, wrong c"
