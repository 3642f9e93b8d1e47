"""The environment ran an export and sluice was told otherwise, or nothing: the export has moved the
watermark, so its changes must not be lost with the answer."""

from feeds import (add_records, change_records, configure, feed, logged, make_project, runs,
                   wait_fresh_run, wait_run)
from process import wait_until
from truth import differences, documents


def begin(sim, workspace, **more):
    """A finished first run of a feed that has a project for full exports; gives its sluice."""
    add_records(sim, 50)
    make_project(sim)
    make_project(sim, "VendorsFull", mode="full")
    settings = feed(sim, full_definition_group="VendorsFull", **{"start_grace": "2s", **more})
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": settings}))
    wait_run(sluice, workspace)
    return sluice


def exports(sim, project="Vendors"):
    return [one for one in sim.get("executions") if one["project"] == project]


def wait_healed(sim, sluice, workspace):
    """Waits until the documents are right and the feed is not suspect."""
    sluice.wait_for(lambda: not workspace.state["feeds"].find_one({"suspect": {"$exists": True}})
                    and differences(workspace.db["vendors"], documents(sim)) == [], 30, "healing")


def test_an_export_that_ran_although_it_was_refused_is_found_by_its_id(sim, workspace):
    sluice = begin(sim, workspace, start_grace="20s")  # longer than a machine may stand still
    sim.post("switches", {"project": "Vendors", "export_error_next": 1, "id_unknown_polls": 3})
    before = len(exports(sim))
    change_records(sim, 20)
    sluice.wait_for(lambda: len(exports(sim)) > before, 30, "the export")
    wait_healed(sim, sluice, workspace)
    assert not runs(workspace, state="failed") and not exports(sim, "VendorsFull")
    assert logged(sluice, "feed in trouble, will try again")


def test_an_environment_that_does_not_tell_in_known_words_holds_no_feed_for_ever(sim, workspace):
    sluice = begin(sim, workspace, execution_deadline="5s")
    sim.post("switches", {"project": "Vendors", "export_error_next": 1, "id_unknown_polls": 10**6,
                          "unknown_translated": True})
    change_records(sim, 20)
    failed = sluice.wait_for(lambda: runs(workspace, state="failed"), 30, "the run being given up")[0]
    assert "Keine Details" in failed["error"]
    sim.post("switches", {"project": "Vendors", "id_unknown_polls": 0})
    wait_healed(sim, sluice, workspace)
    assert exports(sim, "VendorsFull")


def test_an_export_that_was_given_up_and_takes_changes_later_loses_none(sim, workspace):
    sluice = begin(sim, workspace, execution_deadline="3s")
    before = len(exports(sim))
    sim.post("switches", {"project": "Vendors", "queue_ms": 20000})
    wait_until(lambda: len(exports(sim)) > before, 30, "an export that waits")
    sim.post("switches", {"project": "Vendors", "queue_ms": 0})
    sluice.wait_for(lambda: runs(workspace, state="failed"), 30, "the run being given up")
    sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full export")
    wait_healed(sim, sluice, workspace)

    sim.post("switches", {"project": "Vendors", "http_503_next": -1, "retry_after": 1})
    wait_until(lambda: all(one["finished"] for one in exports(sim)[before + 1:]), 20, "the others")
    change_records(sim, 5)
    wait_until(lambda: exports(sim)[before]["finished"], 30, "the end of what was given up")
    assert exports(sim)[before]["rows"]["Vendors V3"] == 5
    sim.post("switches", {"project": "Vendors", "http_503_next": 0})
    wait_healed(sim, sluice, workspace)
    assert "given up" in logged(sluice, "an export may be lost")[0]["error"]
    assert len(exports(sim, "VendorsFull")) == 2 and not runs(workspace, unsettled=True)


def test_a_package_whose_address_comes_too_late_loses_no_change(sim, workspace):
    sluice = begin(sim, workspace, url_deadline="1s", every="3s")
    sim.post("switches", {"project": "Vendors", "url_empty_polls": 10**6})
    change_records(sim, 5)
    wait_run(sluice, workspace, 3)
    assert runs(workspace, unsettled=True) and not exports(sim, "VendorsFull")
    sim.post("switches", {"project": "Vendors", "url_empty_polls": 0})
    sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full export")
    wait_healed(sim, sluice, workspace)
    assert "after all" in logged(sluice, "an export may be lost")[0]["error"]


def test_an_address_that_stays_empty_is_no_loss(sim, workspace):
    sluice = begin(sim, workspace, url_deadline="1s", every="1s")
    sim.post("switches", {"project": "Vendors", "zero_rows": "no_url"})
    wait_run(sluice, workspace, 5)
    wait_healed(sim, sluice, workspace)
    assert not logged(sluice, "an export may be lost") and not exports(sim, "VendorsFull")


def test_an_answer_lost_in_a_crash_where_ids_are_rewritten_brings_a_full_export(sim, workspace):
    sluice = begin(sim, workspace)
    sim.post("switches", {"project": "Vendors", "rewrite_execution_id": True,
                          "synchronous_export": True, "export_ms": 5000})
    before = len(exports(sim))
    change_records(sim, 20)
    sluice.wait_for(lambda: len(exports(sim)) > before, 30, "the export")
    sluice.kill()
    wait_until(lambda: exports(sim)[-1]["state"] == "Succeeded", 30, "the export's end")
    sim.post("switches", {"project": "Vendors", "export_ms": 50})
    sluice.start(ready_timeout_s=30)
    sluice.wait_for(lambda: runs(workspace, state="done", full=True), 40, "a full export")
    wait_healed(sim, sluice, workspace)
    told = logged(sluice, "an export may be lost")
    assert len(told) == 1 and "full export" in told[0]["next"]

    # Where ids are rewritten and no answer was lost, nothing is suspected.
    change_records(sim, 5)
    wait_fresh_run(sluice, workspace)
    wait_healed(sim, sluice, workspace)
    assert len(exports(sim, "VendorsFull")) == 1
