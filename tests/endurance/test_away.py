"""Each peer away for an hour in mid run: sluice waits, says who is missing, needs next to nothing
meanwhile, and brings every change when the peer is back.

./dev endure runs these at once, each in a pytest of its own.
"""

import os

import pytest

import books
from gate import Gate
from outage import Outage
from scene import LONG, long_scene

AWAY_S = 60 * float(os.environ.get("SLUICE_ENDURE_MINUTES", "60"))

# A deadline for each test that no outage reaches.
pytestmark = [pytest.mark.timeout(AWAY_S + 900), pytest.mark.rabbit(consumer_timeout_ms=60_000)]

RUNS_BEFORE = 5
CHANGES_PER_S = 20
CHANGES_AFTER_S = 30  # they go on for so long after the return
PATIENCE = {"every": "3s", "start_grace": "2m", "ledger_deadline": "1m"}


def begin(sim, workspace, gate=None):
    """A feed that has run a few times, changes flowing in, and now a run at work; gives the scene and
    the sluice."""
    scene = long_scene(sim, workspace, **PATIENCE)
    config = scene.config(limits={"batch_rows": 30}, broker={"consumer_timeout": "1m"})
    if gate:
        config["sources"]["fno"]["url"] = gate.url
        config["sources"]["fno"]["auth"]["authority"] = gate.url
    sluice = workspace.sluice(config, ready_timeout_s=30)
    scene.wait_all_there(60)
    scene.change_at(CHANGES_PER_S, int(AWAY_S) + CHANGES_AFTER_S + 3 * RUNS_BEFORE)
    scene.wait_run_done_after(RUNS_BEFORE, 90)
    scene.change(LONG * 2 // 3)  # the next run takes a while
    sluice.wait_for(lambda: scene.newest()["state"] == "streaming"
                    and (scene.download() or {"sent": 0})["sent"] > 50_000, 60, "a run at work")
    return scene, sluice


def end(scene, sluice, outage, what):
    """The server is back: nothing is lost, and nobody had to help."""
    outage.wait_return()
    scene.check_nothing_lost(CHANGES_AFTER_S + 180)
    runs = books.check_all(scene.workspace)
    outage.check()
    assert sluice.stop() == 0
    print(f"\nendure: {what}: {outage.summary()}; {LONG} documents right, {runs} runs balanced, "
          f"{scene.counted()['revisions'] - LONG} changes", flush=True)


def test_mongodb_away(sim, own_rabbit, own_mongo, workspace):
    scene, sluice = begin(sim, workspace)
    outage = Outage(sluice, "mongo", AWAY_S)
    own_mongo.stop()
    outage.watch()
    own_mongo.start()
    end(scene, sluice, outage, "MongoDB")


def test_rabbitmq_away(sim, own_rabbit, own_mongo, workspace):
    scene, sluice = begin(sim, workspace)
    outage = Outage(sluice, "broker", AWAY_S)
    own_rabbit.stop()
    outage.watch()
    own_rabbit.start()
    end(scene, sluice, outage, "RabbitMQ")


def test_dynamics_away(sim, own_rabbit, own_mongo, workspace):
    gate = Gate(sim.port)
    try:
        scene, sluice = begin(sim, workspace, gate)
        outage = Outage(sluice, "feed vendors", AWAY_S)
        gate.shut()
        outage.watch()
        gate.open()
        end(scene, sluice, outage, "Dynamics 365")
    finally:
        gate.close()
