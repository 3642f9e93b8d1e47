"""sluice dead over the queue of unreadable messages: more than may be held at once, a connection that is lost
on the way, and messages that tell little of themselves."""

import datetime
import json
import socket

import pika
import pytest

from cli import dead, dead_list, replay
from gate import Gate
from process import free_port
from test_ingest import FEED, TOKEN

ACK, PUBLISH = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x28"  # class and number of the methods
EVENTS = "events.there"


@pytest.fixture
def aside(workspace):
    """Makes the configuration of a sluice that does not run, and puts bodies into its queue of the unreadable."""
    def make(bodies, key=None, max_message="64MiB"):
        sluice = workspace.sluice(workspace.config(
            feeds={"things": FEED}, broker={"max_message": max_message}, limits={"max_row": "64KiB", "batch_bytes": "64KiB"},
            sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{free_port()}", "token": TOKEN}}), start=False)
        sluice.write_config()
        assert dead_list(sluice, code="unreadable") == []  # makes the queues
        with workspace.rabbit.publishing() as channel:
            channel.queue_declare(f"{workspace.exchange}.{EVENTS}", durable=True)
            for number, body in enumerate(bodies):
                channel.basic_publish(
                    f"{workspace.exchange}.unreadable", key or f"{workspace.exchange}.{EVENTS}", body,
                    pika.BasicProperties(content_type="application/json", message_id=str(number),
                                         delivery_mode=2), mandatory=True)
        return sluice
    return make


class CuttingGate(Gate):
    """Cuts its first connection when the client says the word on any, which is lost if it was said on that."""

    def __init__(self, port, word):
        self.word = word
        self._first = None
        super().__init__(port)

    def _carry(self, source, target):
        with self._lock:
            self._first = self._first or (source, target)
        super()._carry(_Ears(self, source), target)

    def heard(self, data):
        if self.word in data:
            for end in self._first:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # cut already


class _Ears:
    """A socket of which the gate hears first what is received."""

    def __init__(self, gate, end):
        self.gate, self.end = gate, end

    def recv(self, size):
        data = self.end.recv(size)
        if self.end.getpeername()[1] != self.gate.target:
            self.gate.heard(data)
        return data

    def __getattr__(self, name):
        return getattr(self.end, name)


def cut_at(workspace, sluice, word):
    gate = CuttingGate(workspace.rabbit.port, word)
    sluice.config["broker"]["url"] = workspace.rabbit.url.replace(f":{workspace.rabbit.port}", f":{gate.port}")
    sluice.write_config()
    return gate


def test_of_more_than_may_be_held_the_rest_is_left_for_the_next_replay(aside, workspace):
    count = 24
    body = b"x" * 900_000
    sluice = aside([b"%d" % number + body for number in range(count)], max_message="1MiB")  # 4 MiB are held
    answer = dead(sluice, "list", code="unreadable", json=True)
    assert answer.status == 0 and "larger" not in answer.out
    assert len(answer.objects) == count or "not looked at" in answer.err
    for _ in range(count):
        before = workspace.queue_depth(EVENTS)
        answer = dead(sluice, "replay", code="unreadable", json=True)
        sums, = answer.objects  # none is refused
        assert sums["messages"] == workspace.queue_depth(EVENTS) - before > 0
        assert sums["messages_left"] == 0
        if answer.status == 0:
            break
        left = workspace.queue_depth("unreadable")
        assert f"{left} message" in answer.err and "not looked at" in answer.err and "replay again" in answer.err
    assert before > 0  # not all at once
    assert (workspace.queue_depth(EVENTS), workspace.queue_depth("unreadable")) == (count, 0)


def test_what_is_larger_than_any_message_may_be_is_told_so(aside):
    sluice = aside([b"small", b"x" * 100_000], "bulk.things.things", max_message="64KiB")
    small, large = dead_list(sluice, code="unreadable")
    assert "broker.max_message" in large["reason"] and "broker.max_message" not in small["reason"]
    _, refused = replay(sluice, status=1, code="unreadable")
    assert [one["id"] for one in refused] == [small["id"], large["id"]]
    assert "could not be read again" in refused[0]["refused"] and "raise that" in refused[1]["refused"]
    assert "before broker.max_message is raised" in dead(sluice, "show", large["id"]).out


def test_messages_whose_drop_did_not_reach_rabbitmq_are_not_said_to_be_dropped(aside, workspace):
    sluice = aside([b"%d" % number for number in range(5)])
    gate = cut_at(workspace, sluice, ACK)
    answer = dead(sluice, "drop", code="unreadable", json=True)
    gate.close()
    assert answer.status == 1 and answer.objects[0]["messages"] == 0
    assert "5 messages were to be dropped and may be there still" in answer.err
    assert workspace.queue_depth("unreadable") == 5


def test_a_replay_ends_when_what_it_took_was_given_back(aside, workspace):
    sluice = aside([b"%d" % number for number in range(5)])
    gate = cut_at(workspace, sluice, PUBLISH)
    answer = dead(sluice, "replay", code="unreadable", json=True)
    gate.close()
    assert answer.status == 1 and answer.out == "" and "lost RabbitMQ on the way" in answer.err
    assert workspace.queue_depth(EVENTS) <= 1 and workspace.queue_depth("unreadable") == 5


def test_how_old_a_message_is_goes_by_when_it_was_read_or_published(aside, workspace):
    now = datetime.datetime.now(datetime.timezone.utc)
    old = now - datetime.timedelta(days=31)
    times = {"read": {"read_at": now}, "read-long-ago": {"read_at": old, "published_at": now},
             "published": {"published_at": now}, "published-long-ago": {"published_at": old}, "silent": {}}
    sluice = aside([json.dumps({
        "sluice": 1, "feed": "later", "entity": "Later", "database": workspace.database, "collection": "later",
        "run": run, "attempt": 1, "batch": 0, "count": 1, **{name: at.isoformat() for name, at in said.items()},
        "rows": [{"op": "upsert", "id": run, "v": 5, "doc": {"a": 1}}]}) for run, said in times.items()],
        key="bulk.later.Later")
    ids = dict(zip(times, (one["id"] for one in dead_list(sluice, code="unreadable"))))
    sums, refused = replay(sluice, status=1, code="unreadable")
    why = {one["id"]: one["refused"] for one in refused}
    assert sums["messages"] == workspace.queue_depth("bulk") == 2
    assert set(why) == {ids["read-long-ago"], ids["published-long-ago"], ids["silent"]}
    assert "does not say when" in why[ids["silent"]] and "from its producer" in why[ids["silent"]]
    assert all("mongo.tombstone_ttl" in why[ids[run]] for run in ("read-long-ago", "published-long-ago"))
