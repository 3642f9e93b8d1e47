"""Feeds of packages whose runs fail: what /readyz, the status, the audit and the alerts say of them."""

from cli import command
from feeds import begin, feed, logged, runs, trouble, wait_fresh_run, wait_run
from mailbox import Hook
from readiness import wait_trouble


def fail(sim, count, project="Vendors"):
    """The next exports of the project fail, and have moved the watermark; -1: all of them, 0: none."""
    sim.post("switches", {"project": project, "final_status": "Failed", "fail_next": count,
                          "failed_moves_watermark": True})


def wait_failed(sluice, workspace, number):
    """Waits until that run, or a later one, has failed; gives its number."""
    query = {"state": "failed", "number": {"$gte": number}}
    return sluice.wait_for(lambda: workspace.state["runs"].find_one(query), 40, "a failed run")["number"]


def test_a_feed_is_in_trouble_from_a_failed_run_until_one_is_done(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 30, alerts=hook.alerts())
        wait_run(sluice, workspace)
        fail(sim, -1)
        number = wait_failed(sluice, workspace, 2)
        assert "the export failed" in wait_trouble(sluice, "feed vendors", "run vendors-0", "failed")
        reasons = []
        sluice.wait_for(lambda: reasons.append(trouble(sluice)) or runs(workspace, state="failed")[-1]["number"]
                        >= number + 2, 30, "two more failed runs")
        assert all("failed" in reason for reason in reasons), reasons
        assert "failed: the export failed" in sluice.command("status").stdout
        assert not logged(sluice, "feed works again")
        assert not hook.told("raised", "peer_down")  # the environment answers

        # Also when another process takes the feed up, whose next run has not come to its end.
        sluice.stop()
        sim.post("switches", {"export_ms": 5000})
        workspace.state["runs"].delete_many({"number": {"$gt": number}})
        sluice.start()
        wait_trouble(sluice, "feed vendors", f"run vendors-{number:06} failed")
        sim.post("switches", {"export_ms": 50})
        fail(sim, 0)
        sluice.wait_for(lambda: not trouble(sluice), 40, "a run that is done")
        assert runs(workspace)[-1]["number"] > number and logged(sluice, "feed works again")


def test_a_failed_run_is_told_while_the_next_one_is_under_way(sim, workspace):
    sluice = begin(workspace, sim, 30, feeds={"vendors": feed(sim)})
    wait_run(sluice, workspace)
    told = command(sluice.config_path, "doctor")
    assert told.status == 0 and "feed 'vendors' runs" not in told.out
    fail(sim, 1)
    number = wait_failed(sluice, workspace, 2)
    sim.post("switches", {"export_ms": 30000})
    sluice.wait_for(lambda: runs(workspace, state="executing"), 30, "the next run")
    sluice.kill()
    told = command(sluice.config_path, "doctor")
    assert told.status == 0 and "all is well, but see the warnings" in told.out
    assert f"warn  feed 'vendors' runs: the last one that ended, vendors-{number:06} at 20" in told.out
    assert "failed: the export failed" in told.out
    sluice.start()
    wait_trouble(sluice, "feed vendors", f"run vendors-{number:06} failed", timeout_s=20)


def test_the_audit_tells_of_feeds_that_did_not_read_all(sim, workspace):
    sluice = begin(workspace, sim, 30, feeds={"vendors": feed(sim)})
    wait_run(sluice, workspace)
    fail(sim, 1)
    wait_failed(sluice, workspace, 2)
    wait_fresh_run(sluice, workspace)
    assert sluice.stop() == 0
    plain = "Every row of every run that has ended is accounted for."
    told = command(sluice.config_path, "audit")
    assert told.status == 0 and plain not in told.out
    assert "vendors: changes may be missing until a full export is done (the export failed" in told.out
    assert "not all was read" in told.out and told.out == command(sluice.config_path, "audit", "vendors").out

    workspace.state["feeds"].update_one({"_id": "vendors"}, {"$unset": {"suspect": 1, "suspect_at": 1}})
    workspace.state["runs"].delete_many({"number": {"$gt": 3}})
    workspace.state["runs"].update_one({"number": 3}, {"$set": {"state": "done"}})
    assert plain in command(sluice.config_path, "audit").out
    workspace.state["runs"].update_one({"number": 3}, {"$set": {"state": "failed", "error": "it was refused"}})
    told = command(sluice.config_path, "audit").out
    assert plain not in told and "vendors: its newest run did not bring all (it was refused)" in told


def test_an_operator_is_not_told_by_a_reload_that_it_is_over(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 3000, feeds={"vendors": feed(sim, max_package="64KiB")},
                       alerts=hook.alerts(repeat="4h"))
        sluice.wait_for(lambda: hook.told("raised", "operator"), 30, "the alert")
        sluice.reload()
        sluice.wait_for(lambda: logged(sluice, "feed taken up"), 30, "the feed being taken up again")
        wait_trouble(sluice, "feed vendors", "max_package")
        recovered = {"kind": "operator", "outcome": "recovered"}
        assert sluice.metrics().get("sluice_alerts_total", **recovered) == 0

        sluice.config["feeds"]["vendors"]["max_package"] = "64MiB"
        sluice.write_config()
        sluice.reload()
        wait_run(sluice, workspace)
        sluice.wait_for(lambda: hook.told("over", "operator"), 30, "its end")
