"""When a row was changed: by a service whose clock is not ours, and in the figures of how late rows are."""

import datetime
import json

import pytest

from dataverse_script import Page, Script, guid, row
from hooks import Hooks
from process import wait_until
from tables import Scripted
from test_messages import Tap, parse

HOUR_MS = 3_600_000
A, B, C = 1, 2, 3


def ago(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(moment):
    return datetime.datetime.fromisoformat(moment).timestamp() * 1000


def stage(sluice, lane, name):
    """(rows, seconds of all of them) that were counted for a stage."""
    figures = sluice.metrics()
    return tuple(figures.get(f"sluice_stage_seconds_{part}", lane=lane, stage=name)
                 for part in ("count", "sum"))


def true_times(sim):
    """{(row, what became of it): when, by a clock that is right}, each time the newest."""
    changes = map(json.loads, sim.lines("dv/changes"))
    return {(one["id"], "delete" if one["op"] == "delete" else "upsert"): one["at_ms"]
            for one in changes}


@pytest.mark.parametrize("skew_ms", [-HOUR_MS, HOUR_MS])
def test_times_of_a_service_whose_clock_is_wrong_are_put_right(sim, workspace, skew_ms):
    scene = Hooks(sim, workspace, {"account": 20}, {"new_visit": 0})
    with Tap(workspace, "fast.#") as tap:
        sluice = scene.sluice()
        scene.register()
        scene.wait_followed("account")
        scene.switch(dv_clock_skew_ms=skew_ms, dv_modified_ms=True)  # it was set meanwhile
        scene.change(count=5)
        visits = scene.create(5, "new_visit")
        scene.wait_followed()
        scene.delete("new_visit", ids=visits[:2])
        scene.wait_followed()
        rows, times = [], true_times(sim)
        while {(one["id"], one["op"]) for one in rows} < times.keys():
            rows += parse(*tap.take(1)[0][1:])["rows"]
        wrong = [one for one in rows if abs(milliseconds(one["changed_at"]) -
                                            times[one["id"], one["op"]]) > 2000]
        assert wrong == [] and len(rows) >= 12
    status = json.loads(sluice.ops("/status")[1])["sources"]["crm"]
    assert abs(status["clock_offset_ms"] - skew_ms) <= status["clock_doubt_ms"] < 2000
    for name in ("seen", "total"):
        wait_until(lambda: stage(sluice, "fast", name)[0] >= 12, 10, "the figures")
        count, seconds = stage(sluice, "fast", name)
        assert seconds < 60 * count


def test_a_row_counts_from_its_change_and_old_news_from_its_reading(workspace):
    with Script(account={"name": "String", "modifiedon": "DateTime"}) as script:
        table = script["account"]
        table.answers["full"] = Page([row(A, 100, modifiedon=ago(1_000_000))], delta="d1")

        def changes():  # by the first poll, and behind the full read, which has a lane of its own
            wait_until(lambda: workspace.db["account"].find_one({"_id": guid(A)}), 10, "the full read")
            return Page([row(B, 200, modifiedon=ago(300)), row(C, 201, modifiedon=ago(100))], [A], delta="d2")

        table.answers["d1"] = changes
        sluice = Scripted(script, workspace).sluice()
        wait_until(lambda: stage(sluice, "fast", "total")[0] == 3, 10, "the figures")
        count, seconds = stage(sluice, "fast", "seen")
        assert count == 2 and 400 <= seconds < 420
        assert 400 <= stage(sluice, "fast", "total")[1] < 420
        wait_until(lambda: stage(sluice, "bulk", "total")[0] == 1, 10, "the figure of the full read")
        assert stage(sluice, "bulk", "total")[1] < 60
        assert stage(sluice, "bulk", "seen") == (0, 0)
        listed = {(one["labels"].get("lane"), one["labels"].get("stage")): one
                  for one in json.loads(sluice.ops("/status")[1])["latency"]}
        assert 290_000 < listed["fast", "seen"]["max_ms"] < 320_000
        assert not script.strangers


def test_what_leaves_modifiedon_as_it_was_counts_from_the_poll_that_did_not_find_it(workspace):
    with Script(account={"name": "String", "modifiedon": "DateTime"}) as script:
        table = script["account"]
        table.answers["full"] = Page([row(A, 100, modifiedon=ago(3600))], delta="d1")
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        wait_until(lambda: table.count("d1") >= 3, 20, "polls that find nothing")
        table.answers["d1"] = Page([row(A, 200, modifiedon=ago(3600))], delta="d2")
        scene.wait_stored({A: (400, True)})
        wait_until(lambda: stage(sluice, "fast", "total")[0] == 1, 10, "the figures")
        assert 0 < stage(sluice, "fast", "seen")[1] < 60
        assert stage(sluice, "fast", "total")[1] < 60
