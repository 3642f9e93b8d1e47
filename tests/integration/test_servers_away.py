"""RabbitMQ, MongoDB and Dynamics 365 restarted, killed and away: sluice waits, says who is missing, and
loses nothing."""

from gate import Gate
from process import wait_until
from readiness import troubles, wait_trouble
from scene import Scene, long_scene, wait_midway


def test_rabbitmq_restarted_and_killed_in_mid_run_costs_only_time(sim, own_rabbit, workspace):
    scene = long_scene(sim, workspace)
    sluice = scene.sluice(limits={"batch_rows": 30})
    wait_midway(sluice, scene)
    own_rabbit.restart()
    sluice.wait_ready(40)
    scene.change_at(200, 10)
    own_rabbit.settle(*workspace.queues[:2])
    own_rabbit.kill()
    wait_trouble(sluice, "broker")
    own_rabbit.start()
    sluice.wait_ready(40)
    scene.check_nothing_lost(40)
    assert sluice.stop() == 0


def test_mongod_restarted_and_killed_in_mid_run_costs_only_time(sim, own_mongo, workspace):
    scene = long_scene(sim, workspace)
    sluice = scene.sluice(limits={"batch_rows": 30})
    wait_midway(sluice, scene)
    own_mongo.restart()
    sluice.wait_ready(40)
    scene.change_at(200, 10)
    scene.wait_all_there(40)
    wait_until(lambda: scene.runs(state="streaming"), 20, "a run at work")
    own_mongo.kill()
    wait_trouble(sluice, "mongo")
    own_mongo.start()
    sluice.wait_ready(40)
    scene.check_nothing_lost(40)
    assert sluice.stop() == 0


def test_servers_away_at_the_start_are_named_and_waited_for(sim, own_rabbit, own_mongo, workspace):
    scene = Scene(sim, workspace)
    own_rabbit.stop()
    own_mongo.stop()
    sluice = workspace.sluice(scene.config())
    wait_trouble(sluice, "mongo")
    wait_trouble(sluice, "broker")
    assert sluice.ops("/healthz")[0] == 200, "it lives, though it is not ready"

    own_mongo.start()
    sluice.wait_for(lambda: "mongo" not in troubles(sluice), 30, "MongoDB being no trouble")
    assert "broker" in troubles(sluice)
    own_rabbit.start()
    sluice.wait_ready(40)
    scene.check_nothing_lost(40)
    messages = [line["msg"] for line in sluice.log_lines()]
    assert messages.count("peer away") >= 2 and "peer answers" in messages


def test_dynamics_away_at_the_start_and_in_mid_download_is_waited_for(sim, workspace):
    scene = long_scene(sim, workspace)
    gate = Gate(sim.port)
    try:
        gate.shut()
        config = scene.config(limits={"batch_rows": 30})
        config["sources"]["fno"]["url"] = gate.url
        config["sources"]["fno"]["auth"]["authority"] = gate.url
        sluice = workspace.sluice(config)
        wait_trouble(sluice, "feed vendors")
        gate.open()
        wait_midway(sluice, scene)
        gate.shut()
        wait_trouble(sluice, "feed vendors")
        gate.open()
        sluice.wait_ready(40)
        scene.check_nothing_lost(40)
        assert sluice.stop() == 0
    finally:
        gate.close()
