"""The messages between the two halves, seen by pika on a queue of its own, and the batches in them."""

import datetime
import json
import re

import bson
import bson.raw_bson
import pika
import pytest

from books import check_run
from feeds import CUSTOMERS, add_records, configure, feed, logged, make_project, wait_run
from servers import wait_until
from truth import differences, documents


class Tap:
    """A queue of the test's own, bound to the workspace's exchange before sluice starts."""

    def __init__(self, workspace, key="#"):
        self.connection = workspace.rabbit.connect()
        self.channel = self.connection.channel()
        self.channel.exchange_declare(workspace.exchange, "topic", durable=True)
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(self.queue, workspace.exchange, key)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def take(self, count, timeout_s=20):
        """The next so many messages: [(method, properties, body)]."""
        taken = []

        def one_more():
            while len(taken) < count:
                message = self.channel.basic_get(self.queue, auto_ack=True)
                if message[0] is None:
                    return False
                taken.append(message)
            return True
        wait_until(one_more, timeout_s, f"{count} messages")
        return taken

    def take_run(self, timeout_s=20):
        """All messages of one entity, parsed, in the order of their batches.

        They may come in another one: several are on their way at a time.
        """
        bodies = []
        while not any(body["batches"] == len(bodies) for body in bodies):
            bodies.append(parse(*self.take(1, timeout_s)[0][1:]))
        return sorted(bodies, key=lambda body: body["batch"])


def parse(properties, body):
    if properties.content_type == "application/bson":
        return bson.decode(body)
    return json.loads(body)


def start(workspace, sim, rows, **changes):
    add_records(sim, rows)
    make_project(sim)
    return workspace.sluice(configure(workspace, sim, {"vendors": feed(sim, every="1h")},
                                      **changes))


def test_a_message_carries_what_any_consumer_needs(sim, workspace):
    with Tap(workspace) as tap:
        sluice = start(workspace, sim, 20)
        run = wait_run(sluice, workspace)
        (method, properties, data), = tap.take(1)
    assert method.routing_key == "bulk.vendors.VendorsV3"
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert properties.content_type == "application/json"
    assert properties.message_id == "vendors-000001/1/VendorsV3/0"
    headers = properties.headers
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    assert headers["cloudEvents:specversion"] == "1.0"
    assert headers["cloudEvents:type"] == "sluice.batch.v1"
    assert headers["cloudEvents:source"] == "/sluice/vendors"
    assert headers["cloudEvents:id"] == properties.message_id
    assert abs(datetime.datetime.fromisoformat(headers["cloudEvents:time"]) -
               datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5)

    body = json.loads(data)
    assert {name: body[name] for name in ("sluice", "feed", "entity", "run", "attempt", "batch",
                                          "last", "batches", "full", "count")} == {
        "sluice": 1, "feed": "vendors", "entity": "VendorsV3", "run": run["_id"], "attempt": 1,
        "batch": 0, "last": True, "batches": 1, "full": False, "count": 20}
    assert body["read_at"].endswith("Z")
    counter = run["entities"][0]["counter"]
    expected = documents(sim)
    for number, row in enumerate(body["rows"], 1):
        assert row["op"] == "upsert" and row["v"] == counter * 2**24 + number
        assert list(row["doc"]) == list(expected[row["id"]])
    assert {row["id"] for row in body["rows"]} == set(expected)


def test_extended_json_tells_the_types_apart(sim, workspace):
    add_records(sim, 200, CUSTOMERS)
    make_project(sim, "Customers", [CUSTOMERS])
    feeds = {"customers": feed(sim, "Customers", CUSTOMERS, every="1h")}
    with Tap(workspace) as tap:
        workspace.sluice(configure(workspace, sim, feeds))
        rows = [row for body in tap.take_run() for row in body["rows"]]
    expected = documents(sim, CUSTOMERS)
    seen = set()
    for row in rows:
        for name, value in row["doc"].items():
            want = expected[row["id"]][name]
            seen.add(type(want))
            if isinstance(want, bson.Decimal128):
                assert value == {"$numberDecimal": str(want)}
            elif isinstance(want, datetime.datetime):
                assert datetime.datetime.fromisoformat(value["$date"]) == \
                    want.replace(tzinfo=datetime.timezone.utc)
            elif isinstance(want, bson.Int64):
                assert type(value) is int and value == want
            else:
                assert type(value) is type(want) and value == want
    assert seen == {str, bool, float, bson.Int64, bson.Decimal128, datetime.datetime}


def test_json_and_bson_messages_give_identical_documents(sim, workspace):
    found = {}
    add_records(sim, 600)
    expected = documents(sim)
    for content in ("json", "bson"):
        make_project(sim, content)
        one = feed(sim, content, collection=content, every="1h")
        with Tap(workspace) as tap:
            sluice = workspace.sluice(
                configure(workspace, sim, {content: one}, broker={"content": content}), content)
            wait_run(sluice, workspace, feed_name=content)
            (_, properties, _), = tap.take(1)
        assert properties.content_type == f"application/{content}"
        assert differences(workspace.db[content], expected) == []
        raw = workspace.db.get_collection(
            content, codec_options=bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument))
        found[content] = {one["_id"]: bytes(one.raw) for one in raw.find({}, {"_sluice": False})}
        assert sluice.stop() == 0
    assert found["json"] == found["bson"]


@pytest.mark.parametrize("limits, most_rows, least_batches", [
    ({"batch_rows": 100, "linger": "10s"}, 100, 11),
    ({"batch_bytes": "64KiB", "linger": "10s"}, 1100, 5),
], ids=["rows", "bytes"])
def test_batches_close_at_their_limit(sim, workspace, limits, most_rows, least_batches):
    with Tap(workspace) as tap:
        sluice = start(workspace, sim, 1050, limits=limits)
        run = wait_run(sluice, workspace)
        bodies = tap.take_run()
    assert [body["batch"] for body in bodies] == list(range(len(bodies)))
    assert [body["batches"] for body in bodies] == [None] * (len(bodies) - 1) + [len(bodies)]
    assert [body["last"] for body in bodies] == [False] * (len(bodies) - 1) + [True]
    assert all(body["count"] == len(body["rows"]) <= most_rows for body in bodies)
    assert sum(body["count"] for body in bodies) == 1050
    assert len(bodies) >= least_batches
    assert run["entities"][0]["batches"] == len(bodies)
    check_run(workspace, run)
    if "batch_rows" in limits:
        assert all(body["count"] == most_rows for body in bodies[:-1])


def test_a_batch_does_not_linger_while_the_package_comes_slowly(sim, workspace):
    add_records(sim, 2000)
    make_project(sim)
    sim.post("switches", {"slow_body_bytes_per_s": 200000, "level": 0})
    with Tap(workspace) as tap:
        sluice = workspace.sluice(configure(workspace, sim, {"vendors": feed(sim, every="1h")},
                                            limits={"linger": "100ms"}))
        first = parse(*tap.take(1)[0][1:])
        # The first rows are there before the rest of the package has come.
        assert first["last"] is False and 0 < first["count"] < 2000
        sluice.wait_for(lambda: workspace.db["vendors"].count_documents({}) > 0, 10, "first rows")
        assert sim.get("stats")["downloads"], "the package should be still on its way"
        run = wait_run(sluice, workspace)
    assert run["entities"][0]["batches"] >= 2
    check_run(workspace, run)


def test_a_message_that_cannot_be_read_is_set_aside(sim, workspace):
    sluice = start(workspace, sim, 10)
    wait_run(sluice, workspace)
    bad = {"not JSON": b"{", "wrong envelope": b'{"sluice":1}', "empty": b"",
           "a newer version": b'{"sluice":2,"feed":"vendors","entity":"VendorsV3","run":"r",'
                              b'"attempt":1,"batch":0,"count":0,"rows":[]}'}
    with workspace.rabbit.publishing() as channel:
        for body in bad.values():
            channel.basic_publish(workspace.exchange, "bulk.vendors.VendorsV3", body,
                                  pika.BasicProperties(content_type="application/json"))
        channel.basic_publish(workspace.exchange, "bulk.vendors.VendorsV3", b"\x05\0\0\0",
                              pika.BasicProperties(content_type="application/bson"))
        sluice.wait_for(lambda: workspace.queue_depth("unreadable") == 5, 20, "five set aside")
        kept = [channel.basic_get(f"{workspace.exchange}.unreadable")[2] for _ in range(5)]
    assert set(kept) == {*bad.values(), b"\x05\0\0\0"}
    assert sluice.metrics().value("sluice_unreadable_messages_total") == 5
    wait_until(sluice.ready, 10, "no trouble")


def test_what_is_set_aside_after_its_queue_was_deleted_is_kept(sim, workspace):
    sluice = start(workspace, sim, 10)
    wait_run(sluice, workspace)
    stranger = b'{"sluice":1,"feed":"stranger","entity":"E","run":"r","attempt":1,"batch":0,"count":1,' \
               b'"rows":[{"op":"upsert","id":"a","v":5,"doc":{"a":1}}]}'
    with workspace.rabbit.publishing() as channel:
        for count, lane in enumerate(("bulk", "fast", "bulk"), 1):
            channel.queue_delete(f"{workspace.exchange}.unreadable")
            channel.basic_publish(workspace.exchange, f"{lane}.vendors.VendorsV3", b"{", pika.BasicProperties(
                content_type="application/json", delivery_mode=2))
            sluice.wait_for(lambda: workspace.queue_depth("unreadable") == 1, 20, "what was set aside")
            told = [one["error"] for one in logged(sluice, "cannot consume, will try again")]
            assert len(told) == count and f"no queue '{workspace.exchange}.unreadable'" in told[-1]
        channel.queue_delete(f"{workspace.exchange}.unreadable")
        channel.basic_publish(workspace.exchange, "bulk.stranger.E", stranger, pika.BasicProperties(
            content_type="application/json", delivery_mode=2))
        sluice.wait_for(lambda: workspace.queue_depth("unreadable") == 1, 40, "the batch that nobody knows")
    wait_until(sluice.ready, 10, "no trouble")
