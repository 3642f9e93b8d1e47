"""A queue that RabbitMQ knows and cannot serve any more: sluice names it and what to do, and heals
when that is done. That a publisher tells, too, is in tests/endurance: it takes minutes."""

import books
import pytest
from husk import REMEDY, delete, make_husk, told
from readiness import troubles, wait_trouble
from scene import Scene


def test_a_queue_that_rabbitmq_cannot_serve_is_named_and_healed_by_deleting_it(
        sim, own_rabbit, workspace):
    if own_rabbit.version() >= (4, 3):
        pytest.skip("this RabbitMQ mends such a queue by itself")
    scene = Scene(sim, workspace, mode="full", every="1h", ledger_deadline="2s")
    ingest, queue = make_husk(own_rabbit, workspace, scene)
    own_rabbit.start()
    assert workspace.queue_depth("bulk") is not None, "RabbitMQ has forgotten the queue altogether"

    apply = scene.sluice("apply", start=False, role="apply", broker={"connect_timeout": "3s"})
    apply.start()
    wait_trouble(apply, "queue bulk", queue, "does not serve it", *REMEDY, timeout_s=60)
    assert told(apply, "cannot consume, will try again", queue)
    assert scene.documents.estimated_document_count() == 0

    delete(own_rabbit, queue)
    apply.wait_for(lambda: "queue bulk" not in troubles(apply), 60, "the queue being served")
    scene.wait_run_done_after(0, 60)
    assert scene.runs(number=1)[0]["attempt"] > 1, "the ledger had nothing to heal"
    assert scene.differences() == []
    assert books.check_all(workspace) == 1
    scene.check_versions()
    assert ingest.stop() == 0 and apply.stop() == 0
