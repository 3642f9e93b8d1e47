"""Elastic tables: a row of one is not found by its id alone, so that none may be taken for deleted."""

from dataverse_script import Page, Script, guid, row
from hooks import Poster, event, reading_back
from process import wait_until
from readiness import wait_trouble
from servers import free_port
from tables import HASTE, Scripted, owns

A = 1


def test_elastic_tables_are_refused_and_others_go_on(workspace):
    with Script(account=["name"], visit=["name"], event=["name"]) as script:
        for table in (script["visit"], script["event"]):
            table.type = "Elastic"
        script["account"].answers["full"] = Page([row(A, 100)], delta="d1")
        port = free_port()
        config = reading_back(workspace, script, port)
        config["feeds"].update(
            accounts={"source": "crm", "table": "account", "collection": "account", **HASTE},
            events={"source": "crm", "table": "event", "collection": "events", **HASTE})
        sluice = workspace.sluice(config)
        wait_until(lambda: sluice.running() and owns(sluice), 20, "the lease")
        assert Poster(port).send(event("visit", guid(A)))[0] == 200
        for name in ("events", "visits"):
            wait_trouble(sluice, f"feed {name}", "elastic tables are not supported")
        wait_until(lambda: workspace.db["account"].count_documents({}), 20, "the other table's row")
        assert not script["event"].asked and not script["visit"].asked
        assert not workspace.db["visits"].count_documents({}), "a row that is there was deleted"


def test_a_service_that_knows_no_types_of_tables_is_followed(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.type = None
        table.answers["full"] = Page([row(A, 100)], delta="d1")
        scene = Scripted(script, workspace)
        scene.sluice()
        scene.wait_stored({A: (200, True)})
        assert table.described == 1
