"""A package is gone when its store says so. Whoever else answers 404 cannot know."""

import pytest

from environment import Environment, csv_text, package
from feeds import logged, runs, wait_run
from test_dead_letters import COLUMNS, LABEL, note_feed


class Hidden(Environment):
    """The first downloads do not find the package."""
    hidden = 3

    def blob(self, path):
        self.hidden -= 1
        return None if self.hidden >= 0 else super().blob(path)


def begin(workspace, environment):
    config = workspace.config(feeds={"notes": note_feed("notes")}, log={"form": "json"},
                              sources={"fno": environment.source()})
    return workspace.sluice(config, ready_timeout_s=30)


def hide(absence):
    rows = csv_text(COLUMNS, [["usmf", "n-1", "1", "x"]])
    environment = Hidden({"notes": package([(f"{LABEL}.csv", rows.encode())])})
    environment.absence = absence
    return environment


@pytest.mark.parametrize("absence", [
    (404, b"", {}),
    (410, b"<html>BlobNotFound</html>", {}),
    (404, b"<Error><Code>BlobNot", {}),
    (404, b"<Error><Code>OutOfRangeInput</Code></Error>", {}),
], ids=["bare", "page", "cut", "other"])
def test_a_404_that_the_store_did_not_give_is_tried_again(workspace, absence):
    with hide(absence) as environment:
        sluice = begin(workspace, environment)
        wait_run(sluice, workspace, feed_name="notes")
    assert workspace.db["notes"].count_documents({}) == 1 and not runs(workspace, "notes", state="failed")
    told = logged(sluice, "download broke off, will resume")[0]["error"]
    assert "does not say that the package is gone" in told


@pytest.mark.parametrize("absence", [
    (404, b"", {"x_ms_error_code": "BlobNotFound"}),
    (404, b"\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>ContainerNotFound</Code><Message>m", {}),
    (404, b"<Error><Code>ResourceNotFound</Code></Error>", {}),
], ids=["header", "container", "resource"])
def test_a_package_that_the_store_does_not_have_is_gone(workspace, absence):
    with hide(absence) as environment:
        sluice = begin(workspace, environment)
        failed = wait_run(sluice, workspace, feed_name="notes", state="failed")
    assert "gone" in failed["error"]
    assert workspace.state["feeds"].find_one({"_id": "notes"})["suspect"] == failed["error"]
