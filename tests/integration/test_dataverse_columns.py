"""Columns that are more than a text or a number, and a table's columns that are not what they were."""

from dataverse_script import Page, Script, row
from tables import Scripted

A, B = 1, 2


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
