"""Columns that are more than a text or a number, and a table's columns that are not what they were."""

import datetime
import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_of_rows_that_are_read_back_a_column_made_anew_while_the_table_is_described_has_its_type(workspace):
    """That description may be the older one."""
    with Script(visit={"size": "Integer", "weight": "Integer"}) as script, ThreadPoolExecutor() as posts:
        table, port = script["visit"], free_port()
        visits, dead = workspace.db["visits"], workspace.state["dead"]
        sluice = workspace.sluice(reading_back(workspace, script, port), ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        answer_row, define, gates = table.answer_row, table.definition, {}

        def through(name, answer):
            """An answer of this moment, given when its gate is open."""
            if name in gates:
                gates[name].wait(20)
            return answer

        def changes(number, **fields):
            table.rows[number] = row(number, 100 + number, **fields)
            return posts.submit(Poster(port).send, event("visit", guid(number)))

        assert changes(A, size=5, weight=5).result()[0] == 200
        wait_until(lambda: visits.count_documents({}) == 1, 20, "the row")
        gates.update({name: threading.Event() for name in (guid(B), guid(C), "definition")})
        table.answer_row = lambda key: through(key, answer_row(key))
        table.definition = lambda: through("definition", define())
        told = [changes(B, size="large"), changes(C, weight="heavy")]
        wait_until(lambda: {guid(B), guid(C)} <= set(table.links()), 10, "both rows being asked for")
        table.columns["size"] = "String"
        gates[guid(B)].set()
        wait_until(lambda: table.described == 2, 10, "the description being asked for")
        time.sleep(0.1)  # it is made of what the table is now
        table.columns["weight"] = "String"
        gates[guid(C)].set()
        time.sleep(0.5)  # its answer is there before the description
        gates["definition"].set()
        assert [one.result()[0] for one in told] == [200, 200]
        wait_until(lambda: visits.count_documents({}) + dead.count_documents({}) == 3, 20, "the rows")
        assert not dead.count_documents({}) and table.described == 3


def test_of_rows_that_are_read_back_new_columns_have_their_types_at_once(workspace):
    """Each of them, however soon after the other: the same version is not stored again."""
    with Script(visit=["name"]) as script:
        table, port = script["visit"], free_port()
        poster, visits = Poster(port), workspace.db["visits"]
        sluice = workspace.sluice(reading_back(workspace, script, port), ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")

        def changes(version, **fields):
            """Gives the row as it is stored first, and how often the table was described by then."""
            table.rows[A] = row(A, version, **fields)
            assert poster.send(event("visit", guid(A)))[0] == 200
            wait_until(lambda: visits.count_documents({"name": fields["name"]}) == 1, 20, "the row")
            return visits.find_one(), table.described

        at = "2026-11-22T03:10:00Z"
        assert changes(100, name="one")[1] == 1
        table.columns["due"] = "DateTime"
        stored, described = changes(110, name="two", due=at)
        assert isinstance(stored["due"], datetime.datetime) and described == 2
        table.columns["done"] = "DateTime"
        stored, described = changes(120, name="three", due=at, done=at)
        assert isinstance(stored["done"], datetime.datetime) and described == 3
        # Of one that the description lacks all the same, the value speaks for itself.
        stored, described = changes(130, name="four", odd=at)
        assert stored["odd"] == at and described == 4
        assert changes(140, name="five", odd=at)[1] == 4
        assert not workspace.state["dead"].count_documents({})
