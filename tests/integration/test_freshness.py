"""Until when a feed has read its source: what a watch for a feed that stands still looks at."""

import datetime
import time

from dataverse_script import Page, Script, failure, row
from feeds import begin, change_records, runs, wait_run
from process import wait_until
from readiness import wait_trouble
from tables import Scripted
from test_refresh import FULL, Refreshed

GAUGE = "sluice_feed_fresh_timestamp_seconds"


def fresh(sluice, feed):
    return sluice.metrics().get(GAUGE, feed=feed)


def asked(run):
    return int(run["created_at"].replace(tzinfo=datetime.UTC).timestamp())


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
    assert fresh(sluice, "vendors") in {asked(run) for run in runs(workspace, state="done")}


def test_after_a_restart_a_feed_of_packages_that_fails_is_as_fresh_as_before(sim, workspace):
    sluice = begin(workspace, sim, 5)
    wait_run(sluice, workspace)
    sim.post("switches", {"final_status": "Failed", "fail_next": 1000})
    change_records(sim, 2)
    sluice.wait_for(lambda: len(runs(workspace, state="failed")) > 1, 30, "failed exports")
    sluice.restart()
    wait_trouble(sluice, "feed vendors", "failed")
    sluice.wait_for(lambda: fresh(sluice, "vendors"), 20, "the feed being taken up")
    assert fresh(sluice, "vendors") == asked(runs(workspace, state="done")[-1])


def test_a_sweep_reads_nothing(sim, workspace):
    scene = Refreshed(sim, workspace, every="1h")
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    scene.delete(5)
    sim.post("switches", {"project": FULL, "export_ms": 1500})
    assert sluice.command("refresh", "vendors").returncode == 0
    full, sweep = runs(workspace)[-2:]
    assert full["full"] and sweep["sweeps"] == full["_id"] and asked(sweep) > asked(full)
    sluice.wait_for(lambda: sluice.metrics().get("sluice_runs_total", feed="vendors", end="done") == 3,
                    20, "the sweep being counted")
    assert fresh(sluice, "vendors") == asked(full)
