"""Changes that come in many pages, of which some fail."""

from dataverse_script import Answer, Page, Script, expired, failure, guid, row
from feeds import logged
from process import wait_until
from readiness import troubles, wait_trouble
from tables import Scripted, lose_lease

A, B, C, D = 1, 2, 3, 4


def away(seconds):
    return failure(503, "0x0", "away", Retry_After=str(seconds))


def in_turn(*answers):
    """One after another; the last one from then on."""
    left = list(answers)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def begin(script, workspace, **settings):
    table = script["account"]
    table.answers["full"] = Page([row(A, 100), row(B, 101), row(C, 102)], delta="d1")
    scene = Scripted(script, workspace, **settings)
    sluice = scene.sluice()
    scene.wait_stored({A: (200, True), B: (202, True), C: (204, True)})
    return table, scene, sluice


def test_changes_go_on_at_the_page_that_failed(workspace):
    with Script(account=["name"]) as script:
        table, scene, sluice = begin(script, workspace)
        third = Page([row(D, 300 + i, name="x" * 500) for i in range(100)], next="p4")
        table.answers.update({
            "p2": Page([row(C, 102)], deleted=[B], next="p3"),
            "p3": in_turn(away(2), failure(500, "0x0", "a fault"),
                          failure(429, "0x80072322", "too many", Retry_After="1"),
                          Answer(third.encode(table), cut=40_000), Answer("<p>", content_type="text/html"),
                          third),
            "p4": in_turn(away(1), Page(deleted=[C], delta="d2"))})
        table.answers["d1"] = Page([row(A, 200)], next="p2")
        wait_trouble(sluice, "feed account", "not available (503)")
        scene.wait_stored({A: (400, True), B: (202, True), C: (204, True)}, timeout_s=2)
        # Deletions are as old as the poll, which knew of rows up to 102; and C was made again.
        scene.wait_stored({A: (400, True), B: (205, False), C: (204, True), D: (798, True)})
        asked = table.links()[table.links().index("p2") - 1:]
        assert asked[:asked.index("d2")] == ["d1", "p2"] + 6 * ["p3"] + 2 * ["p4"]
        wait_until(lambda: not troubles(sluice), 20, "no trouble")
        assert logged(sluice, "feed works again")
        assert not logged(sluice, "full read begins", level="warn")
        scene.check_versions()


def test_a_page_that_stays_away_is_given_up_and_an_old_one_costs_no_full_read(workspace):
    with Script(account=["name"]) as script:
        table, scene, _ = begin(script, workspace)
        table.answers["p2"] = away(1)
        table.answers["d1"] = Page([row(A, 200)], next="p2")
        wait_until(lambda: table.count("p2") == 11, 40, "another beginning")
        begun = table.links()[:table.links().index("p2") - 1].count("d1")
        asked = table.links()[table.links().index("p2") - 1:]
        assert asked == ["d1"] + 10 * ["p2"] + ["d1", "p2"]
        # Of a page that is refused when it was waited for, the first one tells what to do.
        table.answers["p2"] = in_turn(expired(), Page([row(B, 201)], delta="d2"))
        scene.wait_stored({A: (400, True), B: (402, True), C: (204, True)})
        assert table.count("d1") == begun + 3 and table.count("full") == 1


def test_a_page_is_waited_for_while_a_refresh_sweeps_and_not_when_one_is_asked_for(workspace):
    with Script(account=["name"]) as script:
        table, scene, sluice = begin(script, workspace)
        scene.workspace.db["account"].insert_one({"_id": guid(D), "_sluice": {"v": 7, "feed": "account"}})
        table.answers["full"] = Page([row(A, 100), row(B, 101), row(C, 102)], delta="e1")
        assert sluice.command("refresh", "account", "--force", "--no-wait").returncode == 0
        wait_until(lambda: (workspace.state["refreshes"].find_one() or {}).get("state") == "sweeping", 20, "the sweep")
        table.answers["p2"] = in_turn(away(4), Page([row(B, 201)], delta="e2"))
        table.answers["e1"] = Page([row(A, 200)], next="p2")
        wait_until(lambda: table.count("e2"), 20, "the page")
        asked = table.links()[table.links().index("p2") - 1:]
        assert asked[:3] == ["e1", "p2", "p2"] and "e1" not in asked[3:]
        scene.wait_stored({A: (400, True), B: (402, True), C: (204, True), D: (205, False)}, timeout_s=40)

        wait_until(lambda: workspace.state["refreshes"].find_one()["state"] == "done", 20, "its end")
        table.answers["q2"] = away(15)
        table.answers["e2"] = Page([row(A, 300)], next="q2")
        wait_until(lambda: table.count("q2"), 20, "the page")
        assert sluice.command("refresh", "account", "--no-wait").returncode == 0
        wait_until(lambda: table.count("full") == 3, 10, "the refresh")
        assert table.count("q2") == 1


def test_a_page_is_not_waited_for_when_the_source_was_lost_or_sluice_ends(workspace):
    with Script(account=["name"]) as script:
        table, scene, sluice = begin(script, workspace)
        table.answers["p2"] = away(15)
        table.answers["d1"] = Page([row(A, 200)], next="p2")
        wait_until(lambda: table.count("p2"), 20, "the page")
        asked = len(table.asked)
        lose_lease(workspace)
        wait_until(lambda: len(table.asked) >= asked + 2, 40, "another beginning")
        assert table.links()[asked:] == ["d1", "p2"]
        wait_trouble(sluice, "feed account", "not available (503)")
        assert sluice.stop(timeout_s=5) == 0
