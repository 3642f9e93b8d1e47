"""Rights in MongoDB that are missing for one collection, and a user that is dropped and made anew."""

import pytest

from certificates import Authority
from cli import replay
from process import free_port, wait_until
from readiness import troubles, wait_trouble
from scene import Scene
from servers import Mongo, Tls
from test_ingest import FEED, TOKEN, Poster

LATE_S = 60  # a collection is refused for 15 s before it gives way


@pytest.fixture(scope="module")
def own_mongo(tmp_path_factory):
    """It asks for a login."""
    folder = tmp_path_factory.mktemp("rights")
    authority = Authority(folder)
    mongo = Mongo(folder / "mongo", tls=Tls(folder / "mongo", authority.file,
                                            authority.sign("server", "/O=Servers/CN=server", "IP:127.0.0.1")))
    try:
        mongo.start()
        yield mongo
    finally:
        mongo.stop()


@pytest.fixture
def users(own_mongo):
    with own_mongo.connect() as client:
        yield client.admin
        client.admin.command("dropUser", "sluice")


def make_user(users, *roles):
    users.command("createUser", "sluice", pwd="pass", roles=list(roles))


def login(own_mongo):
    return {"url": own_mongo.tls_url("sluice:pass@", authSource="admin")}


def test_a_collection_without_rights_does_not_hold_up_the_others(own_mongo, users, workspace):
    """Its batches are next to each other in the queue, and nothing else has been written before."""
    actions = ["find", "insert", "update", "remove", "createIndex", "collStats"]
    users.command("createRole", "things", roles=[], privileges=[
        {"resource": {"db": workspace.database, "collection": "things"}, "actions": actions}])
    make_user(users, "things", {"role": "readWrite", "db": workspace.state_database})
    port = free_port()
    sluice = workspace.sluice(workspace.config(
        mongo=login(own_mongo), feeds={"things": FEED, "mirror": {**FEED, "collection": "mirror"}},
        sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{port}", "token": TOKEN}}), ready_timeout_s=30)
    mirror, things = Poster(port, "mirror"), Poster(port)
    for number in range(6):  # more than there are writers
        mirror.accepted({"id": f"m{number}"})
    wait_trouble(sluice, "apply fast", "mirror")
    things.insist({"id": "t0"}, LATE_S)
    wait_until(lambda: workspace.db["things"].count_documents({}) == 1, 20, "the other feed's row")
    wait_until(lambda: workspace.queue_depth("unreadable") == 6, LATE_S, "the batches set aside")
    wait_until(lambda: not troubles(sluice), 20, "no trouble")

    users.command("updateRole", "things", privileges=[
        {"resource": {"db": workspace.database, "collection": ""}, "actions": actions}])
    replay(sluice)
    wait_until(lambda: workspace.db["mirror"].count_documents({}) == 6, 30, "the rows brought back")


def test_a_user_that_is_dropped_and_made_anew_is_logged_in_again(own_mongo, users, sim, workspace):
    """The server logs its connections out for good."""
    roles = [{"role": "readWrite", "db": name} for name in (workspace.database, workspace.state_database)]
    make_user(users, *roles)
    scene = Scene(sim, workspace)
    sluice = scene.sluice(mongo=login(own_mongo))
    scene.check_nothing_lost()
    users.command("dropUser", "sluice")
    make_user(users, *roles)
    scene.change(20)
    scene.check_nothing_lost()
    wait_until(lambda: not troubles(sluice), 20, "no trouble")
    assert sluice.stop() == 0
