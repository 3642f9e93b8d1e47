"""Columns that are more than a text or a number, and a table's columns that are not what they were."""

import functools

from dataverse_script import Page, Script, guid, row
from hooks import Poster, event, reading_back
from process import wait_until
from servers import free_port
from tables import Scripted, owns

A, B, C = 1, 2, 3


def managed(value):
    return {"Value": value, "CanBeChanged": True,
            "ManagedPropertyLogicalName": "iscustomizableanddeletable"}


def test_a_managed_property_is_stored_as_the_object_that_it_is(workspace):
    with Script(role={"name": "String", "iscustomizable": "ManagedProperty"}) as script:
        script["role"].answers = {
            "full": Page([row(A, 100, name="a", iscustomizable=managed(True))], delta="d1"),
            "d1": Page([row(A, 110, name="a", iscustomizable=managed(False)),
                        row(B, 111, name="b", iscustomizable=None)], delta="d2")}
        scene = Scripted(script, workspace)
        scene.sluice()
        scene.wait_stored({A: (220, True), B: (222, True)}, "role")
        stored = {one["name"]: one["iscustomizable"] for one in workspace.db["role"].find()}
        assert stored == {"a": managed(False), "b": None}
        assert not workspace.state["dead"].count_documents({})


def test_a_column_that_was_made_anew_with_another_type_has_it_at_once(workspace):
    with Script(account={"name": "String", "size": "Integer"}) as script:
        table = script["account"]
        table.answers["full"] = Page([row(A, 100, size=5)], delta="d1")
        scene = Scripted(script, workspace)
        scene.sluice()
        scene.wait_stored({A: (200, True)})
        table.columns["size"] = "String"
        table.answers["d1"] = Page([row(A, 110, size="large")], delta="d2")
        scene.wait_stored({A: (220, True)})
        assert workspace.db["account"].find_one()["size"] == "large"
        assert not workspace.state["dead"].count_documents({}) and table.described == 2


def test_for_values_that_are_wrong_the_description_is_not_read_again_and_again(workspace):
    with Script(account={"size": "Integer"}) as script:
        table, dead, given = script["account"], workspace.state["dead"], []

        def changes(number):
            given.append(number)
            return Page([row(10 + number, 110, size="large"), row(B, 120 + number, size=number)],
                        delta=f"d{number + 1}")

        table.answers["full"] = Page([row(A, 100, size=5)], delta="d1")
        scene = Scripted(script, workspace)
        scene.sluice()
        scene.wait_stored({A: (200, True)})
        for number in range(1, 5):
            table.answers[f"d{number}"] = functools.partial(changes, number)
            scene.wait_stored({A: (200, True), B: (240 + 2 * number, True)})
            wait_until(lambda: dead.count_documents({"code": "untypable"}) == number, 10, "the letter")
        assert table.described == 2 and given == [1, 1, 2, 3, 4]


def test_of_rows_that_are_read_back_a_column_made_anew_has_its_type_at_once(workspace):
    with Script(visit={"size": "Integer"}) as script:
        table, port = script["visit"], free_port()
        config = reading_back(workspace, script, port)
        poster, visits, dead = Poster(port), workspace.db["visits"], workspace.state["dead"]
        sluice = workspace.sluice(config, ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")

        def changes(number, size):
            table.rows[number] = row(number, 100 + number, size=size)
            assert poster.send(event("visit", guid(number)))[0] == 200

        changes(A, 5)
        wait_until(lambda: visits.count_documents({"size": 5}) == 1, 20, "the row")
        table.columns["size"] = "String"
        changes(B, "large")
        wait_until(lambda: visits.count_documents({"size": "large"}) == 1, 20, "the other row")
        assert not dead.count_documents({}) and table.described == 2
        changes(C, 7)  # which is none
        wait_until(lambda: dead.count_documents({"code": "untypable", "id": guid(C)}) == 1, 20, "its letter")
        assert table.described == 2
