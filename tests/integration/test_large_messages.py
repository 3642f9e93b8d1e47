"""A RabbitMQ that takes no large messages, as 4.x takes none above 16 MiB."""

import pytest

import books
from feeds import logged
from process import free_port, wait_until
from test_ingest import FEED, TOKEN, Poster

LIMIT = 200_000

pytestmark = pytest.mark.rabbit(max_message_size=LIMIT)


def test_what_rabbitmq_finds_too_large_is_told_and_holds_up_nobody(own_rabbit, workspace):
    port = free_port()
    sluice = workspace.sluice(workspace.config(
        feeds={"things": FEED},
        sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{port}", "token": TOKEN}}), ready_timeout_s=30)
    poster = Poster(port)
    poster.accepted({"id": "small"})
    poster.accepted({"id": "large", "text": "x" * (LIMIT + 1)})  # alone in its message
    letter, = wait_until(lambda: books.letters(workspace), 20, "the dead letter")
    assert (letter["code"], letter["id"]) == ("refused", "large") and "max_message_size" in letter["reason"]
    poster.insist({"id": "after"}, 20)
    wait_until(lambda: workspace.db["things"].count_documents({}) == 2, 20, "the others")

    status, _, _ = poster.send([{"id": f"r{number}", "text": "x" * 30_000} for number in range(8)])
    assert status == 503
    told = wait_until(lambda: logged(sluice, "cannot deliver, waiting for the destination"), 10, "the reason")
    assert "limits.batch_bytes" in told[0]["error"]
