"""A mongod that stands alone takes a write for the majority of itself: nothing is written there. What the
matter is, is told, and a replica set is used as soon as there is one."""

import pymongo
import pytest

from feeds import begin, wait_run
from process import wait_until
from readiness import troubles, wait_trouble


def url_of(mongo, options=""):
    return f"mongodb://127.0.0.1:{mongo.port}/{options}"


def databases(mongo):
    with pymongo.MongoClient("127.0.0.1", mongo.port, directConnection=True) as client:
        return set(client.list_database_names()) - {"admin", "config", "local"}


@pytest.mark.mongo(replica_set=None)
@pytest.mark.parametrize("options", ["", "?replicaSet=rs0"])
def test_a_mongod_that_stands_alone_is_told_and_used_when_it_has_become_a_replica_set(
        sim, own_mongo, workspace, options):
    sluice = begin(workspace, sim, 20, mongo={"url": url_of(own_mongo, options)}, log={"form": "json"})
    told = wait_trouble(sluice, "mongo", f"127.0.0.1:{own_mongo.port} is no member of a replica set",
                        "--replSet rs0", "rs.initiate()")
    assert [line["error"] for line in sluice.log_lines() if line["msg"] == "peer away"] == [told]
    assert databases(own_mongo) == set()

    own_mongo.stop()
    own_mongo.join("rs0")
    own_mongo.launch()
    wait_trouble(sluice, "mongo", "no member of a replica set so far", "rs.initiate()")
    own_mongo.wait_ready()
    wait_run(sluice, workspace)
    wait_until(lambda: not troubles(sluice), 30, "no trouble")
    assert workspace.db["vendors"].count_documents({}) == 20
    assert sluice.stop() == 0


def test_a_replica_set_of_another_name_is_told(sim, own_mongo, workspace):
    sluice = begin(workspace, sim, mongo={"url": url_of(own_mongo, "?replicaSet=rs1")})
    wait_trouble(sluice, "mongo", f"127.0.0.1:{own_mongo.port} is a member of the replica set 'rs0', not of 'rs1'")
    assert sluice.stop() == 0
