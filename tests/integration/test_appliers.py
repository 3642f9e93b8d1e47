"""Several appliers on one queue: batches in any order and more than once, and the newest still wins."""

import json

import pika

import books
from feeds import logged
from process import wait_until
from scene import Scene, seeded
from tables import Tables

COPIES = 3


def copies_of_everything(workspace):
    """A queue of our own that gets a copy of every message from now on; gives its connection's channel
    and its name."""
    channel = workspace.rabbit.connect().channel()
    channel.exchange_declare(workspace.exchange, "topic", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, workspace.exchange, "#")
    return channel, queue


def take_all(channel, queue):
    """[(routing key, properties, body)] of what is in the queue."""
    messages = []
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return messages
        messages.append((method.routing_key, properties, body))


def publish(channel, workspace, messages):
    channel.confirm_delivery()
    for routing_key, properties, body in messages:
        channel.basic_publish(workspace.exchange, routing_key, body, properties, mandatory=True)


def applied(workspace, names):
    """{stage: rows} over some sluices."""
    stages = dict.fromkeys(("consumed", "applied", "stale", "dead"), 0)
    for sluice in workspace.sluices:
        if sluice.name in names:
            metrics = sluice.metrics()
            for stage in stages:
                stages[stage] += metrics.get("sluice_rows_total", stage=stage)
    return stages


def test_two_appliers_fed_out_of_order_and_repeatedly_end_with_the_newest(sim, workspace):
    random = seeded()
    scene = Scene(sim, workspace, records=300)
    channel, copies = copies_of_everything(workspace)
    first = scene.sluice(limits={"batch_rows": 25})
    for _ in range(4):
        scene.wait_next_run()
        scene.change(150)
    scene.check_nothing_lost()
    assert first.stop() == 0
    messages = take_all(channel, copies)
    assert len(messages) > 20

    # The same again, into an empty collection and an empty ledger, by others and in disorder.
    scene.documents.delete_many({})
    workspace.state["ledger"].delete_many({})
    since = workspace.client.admin.command("hello")["operationTime"]
    shuffled = messages * COPIES
    random.shuffle(shuffled)
    half = len(shuffled) // 2
    publish(channel, workspace, shuffled[:half])
    names = [scene.sluice(name, role="apply").name for name in ("apply-1", "apply-2")]
    publish(channel, workspace, shuffled[half:])
    channel.connection.close()

    rows = COPIES * sum(json.loads(body)["count"] for _, _, body in messages)
    wait_until(lambda: applied(workspace, names)["consumed"] == rows, 40, f"{rows} rows consumed")
    wait_until(lambda: workspace.queue_depth("bulk") == 0, 20, "an empty queue")
    wait_until(lambda: books_closed(applied(workspace, names)), 20, "the last batches")
    assert scene.differences() == []
    scene.since = since
    scene.check_versions()
    assert books.check_all(workspace) >= 5
    stages = applied(workspace, names)
    assert stages["stale"] >= rows * (COPIES - 1) / COPIES and stages["dead"] == 0
    for sluice in workspace.sluices[1:]:
        assert sluice.metrics().get("sluice_rows_total", stage="consumed") > 0, "one did it all"
        assert sluice.stop() == 0


def books_closed(stages):
    return stages["consumed"] == stages["applied"] + stages["stale"] + stages["dead"]


def test_a_killed_applier_leaves_its_deliveries_to_the_other(sim, workspace):
    sim.post("switches", {"slow_body_bytes_per_s": 30_000})  # 20 s: kills and starts take their time
    scene = Scene(sim, workspace, records=6000, ledger_deadline="60s")
    scene.sluice("ingest", role="ingest", limits={"batch_rows": 20})
    one = scene.sluice("apply-1", role="apply")
    two = scene.sluice("apply-2", role="apply")
    for victim in (one, two, one):
        seen = scene.documents.estimated_document_count()
        wait_until(lambda: scene.documents.estimated_document_count() > seen, 20, "documents")
        victim.kill()
        victim.start(ready_timeout_s=30)
    scene.check_nothing_lost(60)
    assert len(scene.runs(number=1, attempt=1)) == 1, "the ledger had to heal what no one lost"


def test_an_older_configuration_writes_a_new_feed_where_the_newer_one_says(sim, workspace):
    """As while processes get a new configuration one after the other: the older one has half of the new feed's
    batches."""
    old = Scene(sim, workspace, "vendors", records=60, ledger_deadline="600s")
    new = Scene(sim, workspace, "customers", "Customers V3", records=3000, ledger_deadline="600s")
    older = workspace.sluice(old.config(role="apply"), "older", ready_timeout_s=30)
    newer = workspace.sluice(old.config(new, limits={"batch_rows": 20}), "newer", ready_timeout_s=30)
    for scene in (new, old):
        scene.check_nothing_lost(60)
        scene.change(30)
        scene.check_nothing_lost(60)
        assert all(run["attempt"] <= 1 for run in scene.runs()), "the ledger had to heal what no one lost"
    assert older.metrics().value("sluice_rows_total", feed="customers", stage="applied") > 0
    assert workspace.queue_depth("unreadable") == 0
    assert older.ready() and newer.ready()


def test_a_collection_that_changes_for_one_process_after_the_other(sim, workspace):
    scene = Tables(sim, workspace, {"account": 3000})
    one = scene.sluice("one")
    two = workspace.sluice(scene.config(role="apply"), "two", ready_timeout_s=30)
    scene.wait_followed()
    scene.wait_books_closed()
    applied_by_two = two.metrics().value("sluice_rows_total", feed="account", stage="applied")
    one.config["feeds"]["account"]["collection"] = "moved"
    one.write_config()
    one.reload()
    moved = workspace.db["moved"]
    wait_until(lambda: moved.count_documents({}) == 3000, 60, "all of the table in its new collection")
    assert two.metrics().value("sluice_rows_total", feed="account", stage="applied") > applied_by_two
    two.config["feeds"]["account"]["collection"] = "moved"
    two.write_config()
    two.reload()
    changed = scene.change(count=1)[0]
    version = next(row["versionnumber"] for row in scene.rows(fields=0) if row["id"] == changed)
    wait_until(lambda: moved.find_one({"_id": changed})["_sluice"]["v"] == 2 * version, 20, "a change")
    scene.wait_books_closed()
    assert workspace.queue_depth("unreadable") == 0


def test_a_message_that_does_not_say_where_it_goes_is_set_aside_where_nobody_knows_its_feed(sim, workspace):
    scene = Scene(sim, workspace, records=60)
    sluice = scene.sluice()
    scene.wait_next_run()
    head = {"sluice": 1, "feed": "former", "entity": "VendorsV3", "attempt": 1, "batch": 0, "count": 1,
            "rows": [{"op": "upsert", "id": "a", "v": 1, "doc": {"a": 1}}]}
    places = [{}, {"database": "admin", "collection": "c"}, {"database": workspace.state_database, "collection": "runs"},
              {"database": workspace.database, "collection": "former"}]
    with workspace.rabbit.connect() as connection:
        publish(connection.channel(), workspace, [
            ("bulk.former.VendorsV3", pika.BasicProperties(content_type="application/json"),
             json.dumps({**head, "run": f"former-{number}", **place}).encode())
            for number, place in enumerate(places)])
    wait_until(lambda: workspace.queue_depth("unreadable") == 3, 20, "three of them set aside")
    said = sorted(one["error"] for one in logged(sluice, "a batch has no destination and is set aside"))
    assert len(said) == 3 and "feed 'former'" in said[0] and "'admin.c'" in said[1] and "not for rows" in said[2]
    wait_until(lambda: workspace.db["former"].count_documents({}) == 1, 20, "the fourth written")
    scene.change(30)
    scene.check_nothing_lost()


def test_a_message_of_a_stranger_is_set_aside_and_holds_up_nobody(sim, workspace):
    scene = Scene(sim, workspace)
    scene.sluice()
    with workspace.rabbit.connect() as connection:
        channel = connection.channel()
        strangers = [(f"bulk.{scene.name}.VendorsV3", pika.BasicProperties(content_type=kind), body)
                     for kind, body in (("application/json", b"{]"), ("text/plain", b"hello"),
                                        ("application/json", b'{"sluice":99}'),
                                        ("application/bson", b"\x05\x00"))]
        publish(channel, workspace, strangers)
    wait_until(lambda: workspace.queue_depth("unreadable") == len(strangers), 20,
               "the strangers set aside")
    scene.check_nothing_lost()
