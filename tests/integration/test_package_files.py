"""Files of a package that are not as its manifest has them: none is passed over in silence."""

import pytest

from environment import Environment, csv_text, manifest, package
from feeds import logged, runs, trouble, wait_run
from test_dead_letters import COLUMNS, LABEL, note_feed

FILE = f"{LABEL}.csv"


def notes(first, last):
    return csv_text(COLUMNS, [["usmf", f"n-{i}", str(i), "x"] for i in range(first, last)]).encode()


def listed(*files, names=(FILE,)):
    """A package whose manifest names these files, as the entity's."""
    return package([*files, ("Manifest.xml", manifest(dict.fromkeys(names, LABEL)))])


def start(workspace, environment, **changes):
    config = workspace.config(feeds={"notes": note_feed("notes", **changes)}, log={"form": "json"},
                              sources={"fno": environment.source()})
    return workspace.sluice(config, ready_timeout_s=30)


@pytest.mark.parametrize("name", [f"{FILE}.", "Andere Datei.csv"])
def test_a_file_that_is_called_otherwise_than_listed_stops_the_first_run(workspace, name):
    with Environment({"notes": listed((name, notes(0, 10)))}) as environment:
        sluice = start(workspace, environment)
        sluice.wait_for(lambda: f"nothing of entity '{LABEL}' in it, but '{name}'" in trouble(sluice),
                        30, "a complaint")
        assert [run["state"] for run in runs(workspace, "notes")] == ["streaming"]
        environment.packages["notes"] = listed((FILE, notes(0, 10)))
        sluice.stop()
        sluice.start(30)
        assert wait_run(sluice, workspace, feed_name="notes")["entities"][0]["read"] == 10


def test_a_file_that_is_called_otherwise_one_day_is_told(workspace):
    with Environment({"notes": listed((FILE, notes(0, 10)))}) as environment:
        sluice = start(workspace, environment, every="1s")
        wait_run(sluice, workspace, feed_name="notes")
        environment.packages["notes"] = listed(("Andere Datei.csv", notes(10, 20)))
        sluice.wait_for(lambda: logged(sluice, "an entity is not in the package", entity=LABEL,
                                       found="Andere Datei.csv"), 30, "a warning")
        environment.packages["notes"] = listed()  # no changes, and no stranger
        number = runs(workspace, "notes")[-1]["number"]
        wait_run(sluice, workspace, number + 2, "notes")
        assert len(logged(sluice, "an entity is not in the package")) == 1


def test_two_files_of_an_entity_are_refused(workspace):
    other = f"{LABEL} 2.csv"
    both = listed((FILE, notes(0, 10)), (other, notes(10, 20)), names=(FILE, other))
    with Environment({"notes": both, "full": listed((FILE, notes(0, 20)))}) as environment:
        sluice = start(workspace, environment, full_definition_group="full")
        failed = wait_run(sluice, workspace, feed_name="notes", state="failed")
        assert f"'{other}': it is a second file of entity '{LABEL}'" in failed["error"]
        sluice.wait_for(lambda: runs(workspace, "notes", state="done", full=True), 30, "a full run")
        assert workspace.db["notes"].count_documents({}) == 20


def wait_full_in_vain(workspace, environment):
    """(sluice, the run) of a full export without rows, after one of changes that failed."""
    sluice = start(workspace, environment, every="1s", full_definition_group="full")
    wait_run(sluice, workspace, feed_name="notes")
    del environment.packages["notes"]  # the export fails, and changes are lost
    full = sluice.wait_for(lambda: runs(workspace, "notes", state="done", full=True), 30, "full")
    assert f"no rows of entity '{LABEL}', of which 10 documents are stored" in full[0]["error"]
    return sluice, full[0]


def test_an_entity_that_the_full_project_has_disabled_heals_nothing(workspace):
    """The manifest names it all the same."""
    named = listed()
    disabled = package([("Manifest.xml", manifest({FILE: LABEL}, "utf-8").replace(
        b"<EntityMapList />", b"<Disable>Yes</Disable>"))])
    with Environment({"notes": listed((FILE, notes(0, 10))), "full": disabled}) as environment:
        sluice, _ = wait_full_in_vain(workspace, environment)
        environment.packages["full"] = named
        sluice.wait_for(lambda: not workspace.state["feeds"].find_one({"suspect": {"$exists": True}}), 60,
                        "healing")


@pytest.mark.parametrize("descriptors", [False, True])
def test_a_file_of_zero_bytes_heals_nothing(workspace, descriptors):
    """With data descriptors its size is told behind it."""
    nothing = package([(FILE, b"")], data_descriptors=descriptors)
    with Environment({"notes": listed((FILE, notes(0, 10))), "full": nothing}) as environment:
        _, full = wait_full_in_vain(workspace, environment)
        assert not full["entities"][0]["finished"]
        assert workspace.state["feeds"].find_one({"suspect": {"$exists": True}})
