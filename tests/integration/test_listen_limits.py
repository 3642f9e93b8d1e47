"""What a listener takes of strangers: the limits of a webhook and of an ingest source, as configured."""

import http.client
import json
import socket
import threading
import time

import pytest

import test_ingest
from hooks import KEY, SECRET, Hooks, event
from process import free_port

ROW = "60c4e274-0d87-4e11-80e5-00155db19e6d"
LIMITS = {"max_connections": 2, "max_rate": 3, "request_timeout": "2s"}


class Listener:
    """Where to post, what is taken there, and with which status."""

    def __init__(self, port, path, headers, body, taken):
        self.port, self.path, self.taken = port, path, taken
        self.headers, self.body = {**headers, "Content-Type": "application/json"}, json.dumps(body)

    def post(self):
        """(status, Retry-After) of a good post."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", self.path, self.body, self.headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["Retry-After"]
        finally:
            connection.close()

    def trickle(self, spans, connected):
        """Sends a request a byte at a time until it is cut off, and notes when it began and ended; releases
        a semaphore when it has its place, or will have it before who connects later."""
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), timeout=0.1) as link:
            link.sendall(f"POST {self.path} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode())
            connected.release()
            while time.monotonic() - began < 20:
                try:
                    link.sendall(b"x")
                    if not link.recv(4096):
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        spans.append((began, time.monotonic()))


@pytest.fixture
def listeners(sim, workspace):
    """A sluice with both kinds of source, and its two listeners."""
    scene = Hooks(sim, workspace, {"account": 1}, hook=LIMITS)
    config, port = scene.config(), free_port()
    config["sources"]["in"] = {"type": "ingest", "listen": f"127.0.0.1:{port}",
                               "token": test_ingest.TOKEN, **LIMITS}
    config["feeds"]["things"] = test_ingest.FEED
    sluice = workspace.sluice(config, ready_timeout_s=30)
    rows = [{"id": "1", "amount": "1.50"}]
    return sluice, [
        Listener(scene.port, "/webhook/hook", {KEY: SECRET}, event("account", ROW), 200),
        Listener(port, "/ingest/things", {"Authorization": f"Bearer {test_ingest.TOKEN}"}, rows, 202)]


def test_who_sends_slowly_is_cut_off_and_others_wait_for_a_place(listeners):
    sluice, both = listeners
    for listener in both:
        spans, connected = [], threading.Semaphore(0)
        slow = [threading.Thread(target=listener.trickle, args=[spans, connected]) for _ in range(2)]
        for thread in slow:
            thread.start()
        for _ in slow:
            connected.acquire()
        assert listener.post()[0] == listener.taken
        answered = time.monotonic()
        for thread in slow:
            thread.join()
        assert all(1 < ended - began < 10 for began, ended in spans), spans
        assert answered > min(ended for _, ended in spans) - 0.5, "there was a third place"


def test_more_requests_a_second_than_the_listener_takes_are_refused(listeners):
    sluice, both = listeners
    for listener in both:
        answers = [listener.post() for _ in range(20)]
        refusal = 503 if listener.path.startswith("/webhook/") else 429  # of 429 Dataverse never tries again
        assert {status for status, _ in answers} == {listener.taken, refusal}
        assert {after for status, after in answers if status == refusal} == {"1"}
        assert [status for status, _ in answers[:3]] == [listener.taken] * 3, "a second's worth at once"
        refused = sluice.metrics().get("sluice_http_refused_total", why="rate",
                                       listener=f"127.0.0.1:{listener.port}")
        assert refused == sum(status == refusal for status, _ in answers)
        time.sleep(1)
        assert listener.post()[0] == listener.taken
