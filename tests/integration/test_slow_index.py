"""A collection that was there before sluice, and is large: its index of tombstones takes longer to make than a
write may take. Its rows and those of others are written meanwhile."""

from contextlib import contextmanager

from feeds import logged
from process import free_port, wait_until
from test_ingest import FEED, TOKEN, Poster

INDEX = "sluice_tombstones"


@contextmanager
def indexes_held(client):
    point = {"configureFailPoint": "hangAfterStartingIndexBuild"}
    client.admin.command({**point, "mode": "alwaysOn"})
    try:
        yield
    finally:
        client.admin.command({**point, "mode": "off"})


def is_building(collection):
    return any(one["name"] == INDEX and one.get("building") for one in collection.aggregate([{"$indexStats": {}}]))


def test_rows_are_written_while_the_index_is_made(workspace):
    port = free_port()
    mirror, things = workspace.db["mirror"], workspace.db["things"]
    mirror.insert_one({"_id": "old"})
    sluice = workspace.sluice(workspace.config(
        log={"form": "json"}, feeds={"things": FEED, "mirror": {**FEED, "collection": "mirror"}},
        sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{port}", "token": TOKEN}}), ready_timeout_s=30)
    to_mirror, to_things = Poster(port, "mirror"), Poster(port)
    with indexes_held(workspace.client):
        for number in range(4):  # more than there are writers
            to_mirror.accepted({"id": f"m{number}"})
        to_things.accepted({"id": "t0"})
        wait_until(lambda: things.count_documents({}) == 1, 20, "the other feed's row")
        wait_until(lambda: mirror.count_documents({}) == 5, 20, "the rows of the collection without index")
        assert is_building(mirror)
        assert len(logged(sluice, "the index sluice_tombstones takes long; rows are written meanwhile, and their "
                                  "tombstones expire once it is there", collection="mirror")) == 1
    wait_until(lambda: INDEX in mirror.index_information() and not is_building(mirror), 20, "the index")
    assert sluice.stop() == 0
