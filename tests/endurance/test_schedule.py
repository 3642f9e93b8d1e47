"""The first run of a cron feed is due while MongoDB is away: it is made up for, not left out until the
next time, which may be a day off. It lasts up to two minutes, because cron counts in minutes."""

import time

import pytest

from process import wait_until
from scene import Scene


def second():
    return time.time() % 60


@pytest.mark.timeout(300)
def test_a_first_run_that_was_due_while_mongodb_was_away_comes_at_once(
        sim, own_rabbit, own_mongo, workspace):
    scene = Scene(sim, workspace)
    wait_until(lambda: 20 < second() < 45, 60, "the middle of a minute")
    config = scene.config()
    del config["feeds"][scene.name]["every"]
    config["feeds"][scene.name]["cron"] = "* * * * *"
    sluice = workspace.sluice(config, ready_timeout_s=20)
    wait_until(lambda: second() > 50, 60, "the end of the minute")
    own_mongo.stop()
    wait_until(lambda: second() < 20, 60, "the minute")
    wait_until(lambda: 3 < second() < 20, 60, "a few seconds more")
    own_mongo.start()
    sluice.wait_for(lambda: scene.runs(state="done"), 35, "a run before the next minute")
    first = scene.runs()[0]["created_at"]
    assert 3 < first.second < 58, f"{first}: not in the minute that was missed"
    assert scene.differences() == []
    assert sluice.stop() == 0
    print(f"\nendure: cron: due at a full minute, made up for {first.second} s later", flush=True)
