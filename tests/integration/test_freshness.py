"""Until when a feed has read its source: what a watch for a feed that stands still looks at."""

import datetime
import time

from dataverse_script import Page, Script, failure, row
from feeds import begin, wait_run
from process import wait_until
from readiness import wait_trouble
from tables import Scripted

GAUGE = "sluice_feed_fresh_timestamp_seconds"


def fresh(sluice, feed):
    return sluice.metrics().get(GAUGE, feed=feed)


def test_a_table_is_fresh_as_of_its_last_poll_that_came_to_its_end(workspace):
    with Script(account=["name"], contact=["name"]) as script:
        for name in script.tables:
            script[name].answers["full"] = Page([row(1, 100)], delta="d1")
        scene, began = Scripted(script, workspace), int(time.time())
        sluice = scene.sluice()
        for name in script.tables:
            wait_until(lambda: fresh(sluice, name) >= began, 20, f"{name} being fresh")
        script["account"].answers["d1"] = failure(500, "0x80040216", "An unexpected error occurred.")
        wait_trouble(sluice, "feed account", "0x80040216")
        stands = fresh(sluice, "account")
        wait_until(lambda: fresh(sluice, "contact") > stands + 2, 20, "the other one being fresh")
        assert fresh(sluice, "account") == stands <= time.time()
        del script["account"].answers["d1"]
        wait_until(lambda: fresh(sluice, "account") > stands + 2, 20, "it being fresh again")


def test_a_feed_of_packages_is_fresh_as_of_the_export_that_was_stored(sim, workspace):
    sluice = begin(workspace, sim, 500)
    wait_run(sluice, workspace)  # MongoDB has it a moment before the process counts it
    sluice.wait_for(lambda: fresh(sluice, "vendors"), 20, "the export being counted")
    asked = {int(run["created_at"].replace(tzinfo=datetime.UTC).timestamp())
             for run in workspace.state["runs"].find({"feed": "vendors", "state": "done"})}
    assert fresh(sluice, "vendors") in asked
