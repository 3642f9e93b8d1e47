"""What the server refuses for a while is no row's fault: a cluster whose writes are blocked, as by a migration
to another one, is waited for."""

import pytest

from certificates import Authority
from process import wait_until
from scene import Scene
from servers import Mongo, Tls


@pytest.fixture(scope="module")
def own_mongo(tmp_path_factory):
    """Its users may be kept from writing."""
    folder = tmp_path_factory.mktemp("blocked")
    authority = Authority(folder)
    mongo = Mongo(folder / "mongo", tls=Tls(folder / "mongo", authority.file,
                                            authority.sign("server", "/O=Servers/CN=server", "IP:127.0.0.1")))
    try:
        mongo.start()
        with mongo.connect() as client:
            client.admin.command("createUser", "sluice", pwd="pass", roles=["readWriteAnyDatabase"])
        yield mongo
    finally:
        mongo.stop()


def test_blocked_writes_make_no_dead_letters(own_mongo, sim, workspace):
    mongo = {"url": own_mongo.tls_url("sluice:pass@", authSource="admin")}
    # One run, and no other is under way when it ends: one without rows would stay the newest until it is applied.
    scene = Scene(sim, workspace, ledger_deadline="120s", every="1h")
    first = scene.sluice(mongo=mongo)
    scene.wait_run_done_after(0)
    assert first.stop() == 0
    scene.change(200)
    scene.settings["every"] = "200ms"
    ingest = scene.sluice("ingest", role="ingest", mongo=mongo)
    wait_until(lambda: any(one["read"] for run in scene.runs(state="published") for one in run["entities"]), 30,
               "a run whose rows are published")
    assert ingest.stop() == 0
    block = {"setUserWriteBlockMode": 1, "global": True}
    workspace.client.admin.command(block)
    try:
        both = scene.sluice("both", mongo=mongo, start=False)
        both.start()
        both.wait_for(lambda: "MongoDB refused a row (371)" in both.log_path.read_text(), 30, "a refusal")
    finally:
        workspace.client.admin.command({**block, "global": False})
    scene.check_nothing_lost(60)
    assert workspace.state["dead"].count_documents({}) == 0
    assert both.stop() == 0
