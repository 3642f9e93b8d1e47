"""A queue that takes no message: whoever publishes tells which one and what to do, and goes on when
that is done. Each message has a minute to be confirmed, so this takes some."""

import pytest

import books
from husk import REMEDY, delete, make_husk, told
from readiness import wait_trouble
from scene import Scene


@pytest.mark.timeout(900)
def test_a_publisher_tells_of_a_queue_that_takes_no_message(sim, own_rabbit, own_mongo, workspace):
    scene = Scene(sim, workspace, mode="full", every="1h", ledger_deadline="2s")
    ingest, queue = make_husk(own_rabbit, workspace, scene)
    own_rabbit.start()
    wait_trouble(ingest, "publishing", queue, "stores no message", *REMEDY, timeout_s=400)
    assert told(ingest, "cannot publish", queue)

    delete(own_rabbit, queue)
    scene.sluice("apply", role="apply")
    scene.wait_run_done_after(0, 180)
    assert scene.differences() == []
    runs = books.check_all(workspace)
    ingest.wait_ready(60)
    assert ingest.stop() == 0
    print(f"\nendure: silent queue: named, deleted, and healed; {runs} run balanced", flush=True)
