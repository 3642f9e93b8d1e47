"""What the service calls a bad request: a link that it made itself and will not take any more, a column
that is gone."""

import time

import pytest

from dataverse_script import Answer, Page, Script, failure, guid, row
from feeds import logged
from hooks import Poster, event, reading_back
from process import wait_until
from readiness import troubles, wait_trouble
from servers import free_port
from tables import Scripted, owns

A, B, C = 1, 2, 3


def bad_link():
    return failure(400, "0x80040203", "The paging cookie or the delta token is not valid.")


def bad_column():
    return failure(400, "0x80060888", "Could not find a property named 'name'.")


def test_a_delta_link_that_stays_refused_leads_to_a_full_read(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 100), row(B, 101)], delta="d1")}
        scene = Scripted(script, workspace, sweep_limit=100)
        sluice = scene.sluice()
        scene.wait_stored({A: (200, True), B: (202, True)})

        refusals = [bad_link(), bad_link()]
        table.answers["d1"] = lambda: refusals.pop() if refusals else Page([row(A, 110)], delta="d2")
        scene.wait_stored({A: (220, True), B: (202, True)})
        assert not logged(sluice, "full read begins", level="warn"), "it was refused twice only"

        table.answers["full"] = Page([row(A, 110), row(C, 120)], delta="d3")
        table.answers["d2"] = bad_link()
        scene.wait_stored({A: (220, True), B: (221, False), C: (240, True)})
        line = logged(sluice, "full read begins", level="warn")
        assert len(line) == 1 and "is not valid" in line[0]["why"]
        wait_until(lambda: not troubles(sluice), 20, "no trouble")
        scene.check_versions()


def test_a_link_whose_refusal_speaks_of_change_tracking_leads_to_a_full_read(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 100)], delta="d1")}
        scene = Scripted(script, workspace, sweep_limit=100)
        sluice = scene.sluice()
        scene.wait_stored({A: (200, True)})
        table.answers["full"] = Page([row(B, 120)], delta="d2")
        table.answers["d1"] = failure(400, "0x80040203", "The change tracking token is not valid.")
        scene.wait_stored({A: (201, False), B: (240, True)})
        wait_until(lambda: not troubles(sluice), 20, "no trouble")

        # When it is off indeed, the table's description says so.
        table.tracking = False
        table.answers["d2"] = failure(400, "0x80040203", "Change tracking is not enabled for account.")
        wait_trouble(sluice, "feed account", "change tracking is off; turn it on")
        table.tracking = True
        table.answers["d2"] = Page([row(C, 130)], delta="d3")
        sluice.restart(ready_timeout_s=30)
        scene.wait_stored({A: (201, False), B: (240, True), C: (260, True)})
        scene.check_versions()


def test_a_gateway_in_between_that_refuses_for_a_while_costs_no_full_read(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 100)], delta="d1")}
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        scene.wait_stored({A: (200, True)})
        table.answers["d1"] = Answer("<h1>Blocked</h1>", 400, "text/html")
        wait_trouble(sluice, "feed account", "is not the Web API")
        asked = table.count("d1")
        wait_until(lambda: table.count("d1") >= asked + 4, 30, "some tries")
        table.answers["d1"] = Page([row(A, 110)], delta="d2")
        scene.wait_stored({A: (220, True)})
        assert table.count("full") == 1


@pytest.mark.parametrize("away", ("link", "description"))
def test_a_refusal_before_an_outage_and_one_after_it_cost_no_full_read(workspace, away):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 100)], delta="d1")}
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        scene.wait_stored({A: (200, True)})
        before, after, described = [bad_link()], [bad_link()], table.definition
        if away == "description":
            table.definition = dict
        table.answers["d1"] = lambda: before.pop() if before else failure(500, "0x0", "a fault")
        wait_trouble(sluice, "feed account", "a fault" if away == "link" else "definition lacks")
        time.sleep(6)  # longer than this link may be refused
        table.answers["d1"] = lambda: after.pop() if after else Page([row(A, 110)], delta="d2")
        table.definition = described
        scene.wait_stored({A: (220, True)})
        assert not after and table.count("full") == 1


def test_a_first_page_that_is_refused_is_asked_for_as_the_table_is_called_by_then(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]

        def rename():
            table.set, table.answers["full"] = "firms", Page([row(A, 100)], delta="d1")
            return failure(400, "0x80060888", "Resource not found for the segment 'accounts'.")

        table.answers = {"full": rename}
        scene = Scripted(script, workspace)
        scene.sluice()
        scene.wait_stored({A: (200, True)})
        wait_until(lambda: table.count("d1") >= 2, 20, "polls")
        assert table.count("full") == 2 and not script.strangers


def test_a_page_that_was_left_too_long_leads_to_a_full_read(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 100)], next="p2"), "p2": bad_link()}
        scene = Scripted(script, workspace)
        scene.sluice()
        wait_until(lambda: table.count("full") >= 2, 20, "another full read")
        table.answers["p2"] = Page([row(B, 101)], delta="d1")
        scene.wait_stored({A: (200, True), B: (202, True)})


def test_a_selected_column_that_is_gone_is_told_and_nothing_is_lost(workspace):
    with Script(account=["name", "city"]) as script:
        table = script["account"]
        table.answers = {"full": Page([row(A, 100, name="a")], delta="d1")}
        scene = Scripted(script, workspace, select=["name"])
        sluice = scene.sluice()
        scene.wait_stored({A: (200, True)})
        kind = table.columns.pop("name")
        table.answers["d1"] = bad_column()
        wait_trouble(sluice, "feed account", "has no column 'name'")

        table.columns["name"] = kind
        table.answers["d1"] = Page([row(A, 110, name="b")], delta="d2")
        sluice.restart(ready_timeout_s=30)
        scene.wait_stored({A: (220, True)})


def test_of_rows_that_are_read_back_a_column_that_is_gone_makes_no_dead_letters(workspace):
    with Script(visit=["name", "city"]) as script:
        table, port = script["visit"], free_port()
        config = reading_back(workspace, script, port, select=["name"])
        poster, visits = Poster(port), workspace.db["visits"]
        sluice = workspace.sluice(config, ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")

        def changes(number, **fields):
            table.rows[number] = row(number, 100 + number, **fields)
            assert poster.send(event("visit", guid(number)))[0] == 200

        changes(A, name="a")
        wait_until(lambda: visits.count_documents({}) == 1, 20, "the row")
        kind = table.columns.pop("name")
        table.refusal = bad_column()
        changes(B, name="b")
        wait_trouble(sluice, "feed visits", "has no column 'name'")
        assert workspace.state["dead"].count_documents({}) == 0

        table.columns["name"], table.refusal = kind, None
        sluice.restart(ready_timeout_s=30)
        wait_until(lambda: visits.count_documents({"name": "b"}) == 1, 30, "the row that waited")
