"""A feed that goes to another collection: what is stored, on its way or a dead letter of the old time
stays older than what comes then, however often the counter of each collection was taken. What a table
finds there is looked at as by a new feed."""

import pytest

from environment import Environment, csv_text, package
from feeds import logged, runs, wait_run
from readiness import wait_trouble
from tables import Tables
from test_dead_letters import COLUMNS, LABEL, note_feed

IDS = ("n-0", "n-1", "n-2")
AHEAD = 15  # runs of the feed that moves, in less time than its counter goes by


def notes(text, ids=IDS):
    rows = [["usmf", name, str(i), text] for i, name in enumerate(ids)]
    return package([(f"{LABEL}.csv", csv_text(COLUMNS, rows).encode())])


class Held(Environment):
    """Its exports of "moving" are under way for as long as they are held."""
    held = False

    def status(self, body):
        if self.held and self.exports[body["executionId"]] == "moving":
            return "Executing"
        return super().status(body)


@pytest.fixture
def environment():
    with Held({"moving": notes("first"), "there": notes("other", ["m-0"])}) as served:
        yield served


def start(workspace, environment):
    """The feed has run often, the collection that it will go to was filled once."""
    config = workspace.config(
        feeds={"moving": note_feed("moving", every="100ms"), "there": note_feed("there")},
        sources={"fno": environment.source()}, log={"form": "json"})
    sluice = workspace.sluice(config, ready_timeout_s=30)
    wait_run(sluice, workspace, AHEAD, "moving")
    wait_run(sluice, workspace, 1, "there")
    return sluice


def move(workspace, sluice):
    sluice.stop()
    sluice.config["feeds"]["moving"]["entities"][LABEL]["collection"] = "there"
    return workspace.sluice(sluice.config, ready_timeout_s=30)


def texts(workspace):
    return {one["Code"]: one["Note"] for one in workspace.db["there"].find({"_sluice.feed": "moving"})}


def counters(workspace):
    return [run["entities"][0]["counter"] for run in runs(workspace, "moving", state="done")]


def test_a_run_under_way_does_not_win_over_those_after_the_move(workspace, environment):
    sluice = start(workspace, environment)
    environment.packages["moving"] = notes("under way")
    environment.held = True
    held = sluice.wait_for(lambda: runs(workspace, "moving", state="executing"), 30, "an export")[0]
    sluice = move(workspace, sluice)
    environment.held = False
    wait_run(sluice, workspace, held["number"], "moving")
    assert texts(workspace) == dict.fromkeys(IDS, "under way")

    environment.packages["moving"] = notes("moved")
    wait_run(sluice, workspace, held["number"] + 3, "moving")
    assert texts(workspace) == dict.fromkeys(IDS, "moved")
    taken = counters(workspace)
    assert taken == sorted(set(taken))


def test_letters_from_before_the_move_are_older(workspace, environment):
    workspace.db.create_collection("moving", validator={"Count": {"$lt": 1}})  # refuses n-1, n-2
    sluice = start(workspace, environment)
    assert workspace.state["dead"].count_documents({"feed": "moving"})
    sluice.config["feeds"]["moving"]["every"] = "1s"
    environment.packages["moving"] = notes("moved")
    sluice = move(workspace, sluice)
    sluice.wait_for(lambda: texts(workspace) == dict.fromkeys(IDS, "moved"), 30, "its rows there")
    environment.held = True  # no more runs

    done = sluice.command("dead", "replay", "--feed", "moving")
    assert "applied 0" in done.stdout, done.stdout + done.stderr
    assert texts(workspace) == dict.fromkeys(IDS, "moved")


def move_table(sim, workspace, stored):
    """A table that was followed and goes to a collection that holds a row of it, with a version and a
    feed's name."""
    scene = Tables(sim, workspace, {"account": 20})
    sluice = scene.sluice()
    scene.wait_followed()
    scene.wait_books_closed()
    sluice.stop()
    one = next(row["id"] for row in scene.rows(fields=0))
    workspace.db["there"].insert_one({"_id": one, "_sluice": stored})
    sluice.config["feeds"]["account"]["collection"] = "there"
    sluice.write_config()
    sluice.start()
    return scene, sluice, one


def test_a_table_does_not_go_where_versions_are_of_another_kind(sim, workspace):
    _, sluice, _ = move_table(sim, workspace, {"v": 1 << 52, "feed": "posted"})
    wait_trouble(sluice, "feed account", "'there' holds versions that are not of Dataverse")
    assert workspace.db["there"].count_documents({}) == 1


def test_a_table_that_moves_passes_what_is_stored_there(sim, workspace):
    """Its deletions are younger, and what nobody would sweep is told."""
    stored = 1 << 40
    scene, sluice, one = move_table(sim, workspace, {"v": stored, "feed": "before"})
    there = workspace.db["there"]
    sluice.wait_for(lambda: there.count_documents({}) == 20, 30, "its rows there")
    assert [line for line in sluice.log_lines() if "a feed 'before'" in line.get("msg", "")]
    scene.delete(ids=[one])
    gone = sluice.wait_for(lambda: there.find_one({"_id": one, "_sluice.deleted": True}), 20, "the tombstone")
    assert gone["_sluice"]["v"] > stored
