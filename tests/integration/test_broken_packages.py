"""Packages that turn out to be broken when rows of them have been published: a file's CRC comes last."""

import itertools
import threading

import pytest

from environment import Environment, csv_text, package
from feeds import logged, runs, wait_run
from mailbox import Mailbox
from test_dead_letters import COLUMNS, LABEL, note_feed

COUNT = 30000  # several batches


def notes():
    rows = [["usmf", f"n-{i:06}", str(i), f"note {i:06}"] for i in range(COUNT)]
    return package([(f"{LABEL}.csv", csv_text(COLUMNS, rows).encode())], stored=True)


def flipped(whole):
    """A cell is wrong, and a key, which nothing but the CRC tells."""
    return whole.replace(b"note 000017", b"NOTE 000017", 1).replace(b"n-000018", b"X-000018", 1)


class Broken(Environment):
    """The first download is another package. (The first address is asked for to see whether there is one.)"""

    def __init__(self, packages, broken, meanwhile=lambda: None):
        super().__init__(packages)
        self._broken, self._meanwhile, self._asked = broken, meanwhile, itertools.count()

    def package_url(self, body):
        whole, first = self.packages, next(self._asked) < 2
        if first:
            self._meanwhile()
            self.packages = dict.fromkeys(whole, self._broken)
        url = super().package_url(body)
        self.packages = whole
        return url


def start(workspace, environment, alerts=None, **changes):
    config = workspace.config(feeds={"notes": note_feed("notes", **changes)}, log={"form": "json"},
                              sources={"fno": environment.source()}, **(alerts or {}))
    return workspace.sluice(config, ready_timeout_s=30)


def note(workspace, key):
    found = workspace.db["notes"].find_one({"_id": f"usmf|{key}"})
    return found and found["Note"]


def is_suspect(workspace):
    return bool(workspace.state["feeds"].find_one({"suspect": {"$exists": True}}))


def test_the_second_download_wins_over_what_the_broken_one_brought(workspace):
    whole = notes()
    with Mailbox() as mailbox, Broken({"notes": whole}, flipped(whole)) as environment:
        sluice = start(workspace, environment, {"alerts": mailbox.alerts()})
        run = wait_run(sluice, workspace, feed_name="notes")
        assert (run["attempt"], run["error"]) == (2, "")
        assert logged(sluice, "package unreadable")
        assert note(workspace, "X-000018"), "rows of the broken one had left"
        assert note(workspace, "n-000017") == "note 000017"
        assert note(workspace, "n-000018") == "note 000018"
        sluice.wait_for(lambda: mailbox.mails, 20, "a notice")
        assert "sluice refresh notes" in mailbox.mails[0].get_content().replace("\n", " ")
        assert not is_suspect(workspace)


def test_where_another_run_exported_meanwhile_a_full_export_follows(workspace):
    """The other one's rows are newer, so that those of this run must not rise above them."""
    whole = notes()

    def take_a_counter():
        workspace.state["counters"].update_many({}, {"$inc": {"value": 1}})
    with Broken({"notes": whole, "full": whole}, flipped(whole), take_a_counter) as environment:
        sluice = start(workspace, environment, full_definition_group="full")
        run = wait_run(sluice, workspace, feed_name="notes")
        assert "broken package" in run["error"] and run["attempt"] == 2
        sluice.wait_for(lambda: runs(workspace, "notes", state="done", full=True), 60, "a full run")
        assert note(workspace, "n-000017") == "note 000017" and not is_suspect(workspace)


class Halting(Broken):
    """The first download stands still on its way, until its reader has left."""
    part_bytes = 600 * 1000  # of 1,000 KB

    def __init__(self, packages, broken):
        super().__init__(packages, broken)
        self._requests, self.left = itertools.count(1), threading.Event()

    def blob(self, path):
        if next(self._requests) == 7:  # the first five look at the directory, the sixth brings a part
            self.left.wait(60)
        return super().blob(path)


@pytest.mark.parametrize("leave", ["kill", "stop"])
def test_an_attempt_that_ended_before_the_crc_could_tell_is_outdone_too(workspace, leave):
    whole = notes()
    with Halting({"notes": whole}, flipped(whole)) as environment:
        sluice = start(workspace, environment, {"limits": {"batch_rows": 1000}})
        sluice.wait_for(lambda: note(workspace, "X-000018"), 30, "rows of the broken one")
        getattr(sluice, leave)()
        environment.left.set()
        sluice.start(ready_timeout_s=30)
        run = wait_run(sluice, workspace, feed_name="notes")
        assert (run["attempt"], run["error"]) == (2, "")
        assert note(workspace, "n-000017") == "note 000017"
        assert not is_suspect(workspace)


class Careless(Environment):
    """Its blob store does not look at If-Match. The package becomes another one after so many requests."""
    heeds_match = False

    def __init__(self, packages, after):
        super().__init__(packages)
        self._left = after

    def blob(self, path):
        self._left -= 1
        if not self._left:
            self.etag = '"2"'
        return super().blob(path)


def test_parts_of_two_packages_are_not_put_together(workspace):
    with Careless({"notes": notes()}, after=3) as environment:
        environment.part_bytes = 1000 * 1000
        sluice = start(workspace, environment)
        run = wait_run(sluice, workspace, feed_name="notes")
        assert run["attempt"] == 2 and run["entities"][0]["read"] == COUNT
        broken = logged(sluice, "package unreadable")
        assert "the package changed during the download" in broken[0]["error"]


@pytest.mark.parametrize("etag", ['"1"', 'W/"1"'], ids=["strong", "weak"])
def test_an_answer_that_ends_before_the_package_does_is_resumed(workspace, etag):
    with Environment({"notes": notes()}) as environment:
        environment.etag = etag
        environment.part_bytes = 300 * 1000
        sluice = start(workspace, environment)
        run = wait_run(sluice, workspace, feed_name="notes")
        assert run["attempt"] == 1 and run["entities"][0]["read"] == COUNT
