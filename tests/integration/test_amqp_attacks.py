"""Frames that no RabbitMQ would send, put into the connections of a sluice at work: each ends the
connection, the reason is told, a new one is made, and no row is lost."""

import random

import pytest

from amqp_impostor import END, Impostor, frame, method
from process import wait_until
from scene import Scene

HEADER = (60).to_bytes(2, "big") + bytes(2) + (5).to_bytes(8, "big") + bytes(2)
DELIVER = b"\x01c" + (1).to_bytes(8, "big") + b"\x00\x01e\x01k"
DEEP = (lambda table: len(table).to_bytes(4, "big") + table)(b"\x01aF\x00\x00\xff\xff" * 200)

# What is said on channel c, and the words that tell it.
ATTACKS = {
    "larger than agreed": (lambda c: frame(1, 0, b"", size=131065), "larger than agreed"),
    "of 4 GiB": (lambda c: frame(3, c, b"", size=0xFFFFFFFF), "larger than agreed"),
    "without its end": (lambda c: frame(8, 0, b"", end=b"\x00"), "lacks its end byte"),
    "shorter than its method": (lambda c: frame(1, 0, b"\x00"), "a method frame of 1 bytes"),
    "of an unknown type": (lambda c: frame(5, 0, b""), "frame type 5"),
    "of another protocol": (lambda c: b"HTTP/1.1 400 Bad Request\r\n\r\n", "frame type 72"),
    "of another version": (lambda c: b"AMQP\x00\x01\x00\x00", "frame type 65"),
    "on a channel that is not open": (lambda c: method(999, 60, 60), "channel 999"),
    "content on channel 0": (lambda c: frame(3, 0, b"x"), "content on channel 0"),
    "a body before its message": (lambda c: frame(3, c, b"x"), "a body frame out of order"),
    "a header before its message": (lambda c: frame(2, c, HEADER), "a header frame out of order"),
    "a method inside a message": (lambda c: method(c, 60, 60, DELIVER) + method(c, 20, 11, bytes(4)),
                                  "a method inside a message"),
    "more body than announced": (lambda c: method(c, 60, 60, DELIVER) + frame(2, c, HEADER)
                                 + frame(3, c, b"123456"), "longer than announced"),
    "a heartbeat on a channel": (lambda c: frame(8, c, b""), "heartbeat"),
    "a method that nobody knows": (lambda c: method(0, 99, 99), "unexpected method 99.99"),
    "a start in the midst": (lambda c: method(0, 10, 10, b"\x00\x09" + bytes(4)
                                              + b"\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US"),
                             "unexpected AMQP_CONNECTION_START"),
    "a start with a broken table": (lambda c: method(0, 10, 10, b"\x00\x09" + DEEP),
                                    "malformed table in connection.start"),
    "a reply that nobody awaits": (lambda c: method(c, 60, 21, b"\x01c"), "unexpected"),
}


@pytest.fixture
def impostor(rabbit):
    gate = Impostor(rabbit.port)
    yield gate
    gate.close()


def test_hostile_frames_end_the_connection_and_lose_nothing(sim, workspace, rabbit, impostor):
    scene = Scene(sim, workspace)
    sluice = scene.sluice(broker={"url": rabbit.url.replace(str(rabbit.port), str(impostor.port)),
                                  "heartbeat": "5s"})
    scene.wait_all_there()
    for name, (said, words) in ATTACKS.items():
        sluice.wait_ready()
        before, cut = len(sluice.log_lines()), impostor.cut
        heard = impostor.say(said)
        assert heard >= 2, name
        sluice.wait_for(lambda: impostor.cut >= cut + heard, 10, f"{name}: the end of {heard}")
        sluice.wait_for(lambda: any(words in str(line) for line in sluice.log_lines()[before:]), 10,
                        f"{name}: '{words}'")
        scene.change(5)
    scene.check_nothing_lost()
    assert sluice.stop() == 0


def test_a_confirm_of_what_was_never_published_is_no_confirm(sim, workspace, rabbit, impostor):
    """The publisher would believe rows to be safe that RabbitMQ never saw."""
    scene = Scene(sim, workspace)
    sluice = scene.sluice(broker={"url": rabbit.url.replace(str(rabbit.port), str(impostor.port))})
    scene.wait_all_there()
    for tag in (1 << 40, (1 << 64) - 1):
        sluice.wait_ready()
        cut = impostor.cut
        impostor.say(lambda c, tag=tag: method(c, 60, 80, tag.to_bytes(8, "big") + b"\x01"))
        sluice.wait_for(lambda: impostor.cut > cut, 10, "the end of the connections")
        scene.change(20)
    scene.check_nothing_lost()
    assert sluice.stop() == 0


def test_noise_of_any_kind_loses_nothing(sim, workspace, rabbit, impostor):
    scene = Scene(sim, workspace)
    chance = random.Random(1)
    sluice = scene.sluice(broker={"url": rabbit.url.replace(str(rabbit.port), str(impostor.port)),
                                  "heartbeat": "2s"})
    scene.wait_all_there()
    for _ in range(12):
        sluice.wait_ready()
        noise = frame(chance.choice((1, 2, 3, 8)), chance.choice((0, 1, 2, 7)),
                      chance.randbytes(chance.randrange(64)), end=chance.choice((END, END, b"x")))
        cut, heard = impostor.cut, impostor.say(lambda _, noise=noise: noise)
        wait_until(lambda: impostor.cut >= cut + heard, 20, f"the end after {noise.hex()}")
        scene.change(5)
    scene.check_nothing_lost()
    assert sluice.stop() == 0
