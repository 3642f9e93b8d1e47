"""RabbitMQ, MongoDB and Dynamics 365 restarted, killed and away: sluice waits, says who is missing, and
loses nothing."""

import json
import time

import pytest

from gate import Gate
from scene import Scene, long_scene, wait_midway


def troubles(sluice):
    """{what: message} of /readyz; empty when it is ready."""
    status, text = sluice.ops("/readyz")
    answer = json.loads(text)
    found = {one["what"]: one["message"] for one in answer.get("trouble", [])}
    assert (status == 200) == (not found), text
    return found


def wait_trouble(sluice, what, timeout_s=30):
    """Waits until /readyz names it and tells a reason."""
    def named():
        try:
            return troubles(sluice).get(what) not in (None, "", "not yet contacted")
        except OSError:
            return False  # it has not come so far
    sluice.wait_for(named, timeout_s, f"/readyz naming {what}")


def test_rabbitmq_restarted_and_killed_in_mid_run_costs_only_time(sim, own_rabbit, workspace):
    scene = long_scene(sim, workspace)
    sluice = scene.sluice(limits={"batch_rows": 30})
    wait_midway(sluice, scene)
    own_rabbit.restart()
    sluice.wait_ready(40)
    scene.wait_all_there(40)

    scene.change_at(200, 20)
    scene.wait_next_run()
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
    scene.wait_all_there(40)

    scene.change_at(200, 20)
    scene.wait_next_run()
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


def store_away_for(seconds, sim, rabbit, mongo, workspace):
    """SIGSTOPs mongod in mid run for longer than the broker's consumer_timeout."""
    scene = long_scene(sim, workspace)
    timeout = f"{rabbit.consumer_timeout_ms}ms"
    sluice = scene.sluice(limits={"batch_rows": 30}, broker={"consumer_timeout": timeout})
    wait_midway(sluice, scene)
    mongo.pause()
    time.sleep(seconds)  # the outage itself
    depth = workspace.queue_depth("bulk")
    named = troubles(sluice)
    mongo.resume()

    sluice.wait_ready(60)
    scene.check_nothing_lost(60)
    assert "mongo" in named and "apply bulk" in named, named
    assert depth > 0, "the deliveries were not handed back"
    handed_back = "destination away for long: held batches go back to the queue"
    assert handed_back in [line["msg"] for line in sluice.log_lines()]
    logs = "".join(path.read_text(errors="replace") for path in (rabbit.dir / "log").glob("*.log"))
    assert "timed out" not in logs and "PRECONDITION_FAILED" not in logs, logs[-3000:]
    assert sluice.stop() == 0


@pytest.mark.rabbit(consumer_timeout_ms=8000)
def test_store_away_longer_than_a_short_consumer_timeout_closes_no_channel(
        sim, own_rabbit, own_mongo, workspace):
    store_away_for(20, sim, own_rabbit, own_mongo, workspace)


@pytest.mark.rabbit(consumer_timeout_ms=60000)
def test_store_away_longer_than_a_consumer_timeout_of_60_s_closes_no_channel(
        sim, own_rabbit, own_mongo, workspace):
    store_away_for(80, sim, own_rabbit, own_mongo, workspace)
