"""When the far end is slow, gone or full, the near end waits: sockets stand still, memory stays flat, and
afterwards everything arrives."""

import datetime
import json
import time

import pytest

import books
from feeds import logged
from mailbox import Hook
from process import wait_until
from programs import Sim
from readiness import wait_trouble
from scene import Scene
from workspace import Workspace

ROWS = 24_000  # of about 700 bytes: far more than sockets and buffers hold

# AddressSanitizer keeps what was freed: connecting again and again for a minute shows as growth.
ASAN_KEEPS_MIB = 24

# As little in flight as can be, so that little data is enough to fill it.
NARROW = {"limits": {"batch_bytes": "64KiB", "ingest_credit": "1MiB", "apply_credit": "1MiB"},
          "broker": {"max_backlog": 4}}


def large(sim, workspace, rows=ROWS, **changes):
    """One large package: later exports bring changes only. Stored, so that its size is known."""
    sim.post("switches", {"level": 0, **changes})
    return Scene(sim, workspace, "bench", "Bench rows", rows, ledger_deadline="5m")


# Until somebody has taken a peer away, half a minute's download is not over.
TRICKLE = {"slow_body_bytes_per_s": 700_000}

STILL_S = 4  # longer than a busy machine lets anybody wait


def wait_standstill(sluice, scene, timeout_s=30):
    """Waits until the download under way gives no byte for a while; gives what was sent."""
    seen = {"sent": -1, "since": 0.0}

    def still():
        download = scene.download()
        assert download and download["sent"] < download["length"], "the download ended"
        if download["sent"] != seen["sent"]:
            seen.update(sent=download["sent"], since=time.monotonic())
        return time.monotonic() - seen["since"] >= STILL_S
    sluice.wait_for(still, timeout_s, "the download standing still")
    return seen["sent"]


def check_stays(sluice, scene, sent, seconds):
    """For so long no byte is read, no memory is taken, and the loop runs."""
    before, stalls = sluice.rss_mib(), loop_stalls(sluice)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert scene.download()["sent"] == sent, "the socket was read"
        assert sluice.rss_mib() < before + ASAN_KEEPS_MIB
        time.sleep(0.1)
    stalled_s = loop_stalls(sluice) - stalls
    assert stalled_s < 4 + seconds / 4, f"the loop was blocked for {stalled_s} s"  # the rest is the machine's


def loop_stalls(sluice):
    """For how many seconds turns of the loop were late by more than half a second."""
    metrics = sluice.metrics()
    name = "sluice_loop_delay_seconds"  # a value for each 10 ms
    return (metrics.value(f"{name}_count") - metrics.value(f"{name}_bucket", le="0.5")) / 100


def some_documents(sluice, scene, count):
    sluice.wait_for(lambda: scene.documents.estimated_document_count() >= count, 60,
                    f"{count} documents")


def complaints(rabbit):
    """What the broker says of consumers that were too slow."""
    logs = "".join(path.read_text(errors="replace") for path in (rabbit.dir / "log").glob("*.log"))
    return [line for line in logs.splitlines() if "timed out" in line or "precondition" in line]


@pytest.fixture
def minutely(tmp_path, rabbit, mongo):
    """A sluice and a simulator beside those of the test, with a feed that is due at every minute;
    yields its scene."""
    sim = Sim(tmp_path / "minutely-sim")
    sim.start()
    space = Workspace(tmp_path / "minutely", rabbit, mongo)
    try:
        scene = Scene(sim, space)
        config = scene.config()
        del config["feeds"][scene.name]["every"]
        config["feeds"][scene.name]["cron"] = "* * * * *"
        space.sluice(config, ready_timeout_s=30)
        yield scene
    finally:
        space.close()
        sim.stop()


def check_minutely(scene):
    """It ran at every minute since it was started, and at no other time; needs a minute between."""
    scene.wait_run_done_after(0, 10)
    begun = [run["created_at"] for run in scene.runs()]
    assert all(at.second < 10 for at in begun), begun  # late only, by what a busy machine needs
    minutes = [at.replace(second=0, microsecond=0) for at in begun]
    assert minutes == [minutes[0] + datetime.timedelta(minutes=i) for i in range(len(begun))]
    assert scene.differences() == []


@pytest.mark.rabbit(consumer_timeout_ms=60_000)
def test_a_mongod_stopped_for_longer_than_the_consumer_timeout_costs_only_time(
        sim, own_rabbit, own_mongo, workspace, minutely):
    scene = large(sim, workspace, **TRICKLE)
    narrow = {**NARROW, "broker": {**NARROW["broker"], "consumer_timeout": "1m"}}
    sluice = scene.sluice(**narrow)
    some_documents(sluice, scene, 2000)
    began = time.monotonic()
    own_mongo.pause()
    sent = wait_standstill(sluice, scene)
    # The broker looks at its channels every 15 s.
    check_stays(sluice, scene, sent, began + 60 + 17 - time.monotonic())
    trouble = {one["what"] for one in json.loads(sluice.ops("/readyz")[1])["trouble"]}
    backlog = workspace.queue_depth("bulk")
    own_mongo.resume()

    assert {"mongo", "apply bulk"} <= trouble
    assert backlog > 0, "the deliveries were not handed back"
    assert complaints(own_rabbit) == []
    scene.check_nothing_lost(120)
    assert len(scene.runs(number=1, attempt=1)) == 1, "the outage cost a second download"
    check_minutely(minutely)


def test_a_blocked_connection_stops_the_download_while_the_consumer_goes_on(
        sim, own_rabbit, workspace):
    bad = {"untypable": ROWS // 20, "wrong_columns": ROWS // 40, "empty_key": ROWS // 40, "every": 10}
    scene = large(sim, workspace, bad_rows=bad, **TRICKLE)
    sluice = scene.sluice(**NARROW)
    some_documents(sluice, scene, 2000)
    own_rabbit.ctl("set_vm_memory_high_watermark", "0.0001")
    sent = wait_standstill(sluice, scene)
    wait_trouble(sluice, "publishing", "blocks publishing")
    wait_until(lambda: unacknowledged(own_rabbit, workspace) == 0, 20, "the consumer acknowledging")
    check_stays(sluice, scene, sent, 3)
    own_rabbit.ctl("set_vm_memory_high_watermark", "0.4")

    scene.wait_run_done_after(0, 90)
    sums = books.check_run(workspace, scene.runs(number=1)[0])
    assert sums["dead"] == ROWS // 10 and sums["applied"] == ROWS - ROWS // 10
    assert scene.differences() == []
    assert sluice.stop() == 0


def unacknowledged(rabbit, workspace):
    """Messages in the bulk queue, those that a consumer holds included."""
    lines = rabbit.ctl("list_queues", "name", "messages", "--formatter", "json")
    counts = {one["name"]: one["messages"] for one in json.loads(lines)}
    return counts[f"{workspace.exchange}.bulk"]


@pytest.mark.parametrize("most", [4, 64])
def test_without_an_applier_the_backlog_stops_growing_and_drains_when_one_comes(
        sim, workspace, most):
    """Of 64 the queue is asked for seldom as long as little was published since."""
    scene = large(sim, workspace, ROWS * 2)  # sockets may hold 10 MB, 64 batches 4
    narrow = {**NARROW, "broker": {"max_backlog": most}}
    ingest = scene.sluice("ingest", role="ingest", **narrow)
    ingest.wait_for(scene.download, 30, "a download")
    sent = wait_standstill(ingest, scene, 60)
    backlog = workspace.queue_depth("bulk")
    assert backlog == most
    check_stays(ingest, scene, sent, 3)
    assert workspace.queue_depth("bulk") == backlog

    scene.sluice("apply", role="apply", **narrow)
    scene.check_nothing_lost(90)
    assert len(scene.runs(number=1, attempt=1)) == 1


def test_a_queue_deleted_while_publishing_is_declared_again_and_the_ledger_heals(sim, workspace):
    sim.post("switches", {"slow_body_bytes_per_s": 100_000})
    scene = Scene(sim, workspace, records=1000, ledger_deadline="2s")
    sluice = scene.sluice(limits={"batch_rows": 25})
    some_documents(sluice, scene, 100)
    with workspace.rabbit.connect() as connection:
        channel = connection.channel()
        for queue in workspace.queues[:2]:
            channel.queue_delete(queue)
    scene.check_nothing_lost(60)
    wait_until(lambda: workspace.queue_depth("bulk") is not None, 20, "the queue being there again")


def test_messages_lost_by_the_broker_are_published_again_when_the_ledger_stays_open(sim, workspace):
    scene = Scene(sim, workspace, records=200, ledger_deadline="2s")
    ingest = scene.sluice("ingest", role="ingest", limits={"batch_rows": 20})
    wait_until(lambda: (scene.newest() or {}).get("state") == "published", 30, "a published run")
    with workspace.rabbit.connect() as connection:
        lost = connection.channel().queue_purge(workspace.queues[1]).method.message_count
    assert lost > 0
    scene.sluice("apply", role="apply")
    scene.check_nothing_lost(40)
    assert scene.runs(number=1)[0]["attempt"] > 1
    assert ingest.stop() == 0


def test_a_ledger_that_never_closes_is_told_of_and_waited_for_longer_each_time(sim, workspace):
    scene = Scene(sim, workspace, records=200, ledger_deadline="1s")
    with Hook() as hook:
        ingest = scene.sluice("ingest", role="ingest", alerts=hook.alerts())
        with workspace.rabbit.connect() as connection:
            channel = connection.channel()

            def loses_all():
                channel.queue_purge(workspace.queues[1])
                again = logged(ingest, "ledger does not close, publishing again")
                return len(again) >= 3 and again

            again = wait_until(loses_all, 40, "the third time")
        when = [datetime.datetime.fromisoformat(line["ts"]).timestamp() for line in again]
        assert when[1] - when[0] > 1.9 and when[2] - when[1] > 3.9, "the deadline, doubled each time"
        told = ingest.wait_for(lambda: hook.told("raised", "run_failed"), 20, "the alert")[0]
        assert told["subject"] == scene.name and "again and again" in told["text"]
        scene.sluice("apply", role="apply")
        scene.check_nothing_lost(60)
        assert [run["state"] for run in scene.runs(number=1)] == ["done"]
