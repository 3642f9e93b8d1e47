"""The simulated Dataverse's webhooks, seen from their other end."""

import decimal
import http.server
import json
import re
import socket
import ssl
import threading
import time

import pytest

from certificates import Authority
from process import wait_until
from sim_client import DEADLINE_S, Service


@pytest.fixture
def service(sim):
    return Service(sim)


class Receiver:
    """A webhook's other end: keeps what comes, and answers as told. With files it speaks TLS."""

    def __init__(self, certificate=None, key=None):
        receiver = self
        self.posts, self.answers, self.lock = [], [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    receiver.posts.append((self.path, dict(self.headers.items()), body))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' * bool(certificate)}://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self):
        return [json.loads(body, parse_float=decimal.Decimal) for _, _, body in self.posts]


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.server.shutdown()
    running.server.server_close()


def sent(service, receiver, count):
    wait_until(lambda: len(receiver.posts) >= count, DEADLINE_S,
               f"{len(receiver.posts)} of {count} posts")
    wait_until(lambda: (h := service.sim.get("dv/hooks"))["waiting"] + h["in_flight"] == 0,
               DEADLINE_S, "posts are left")
    return service.sim.get("dv/hooks")


def parameter(context, name):
    return {p["key"]: p["value"] for p in context["InputParameters"]}[name]


def test_webhooks_speak_the_wire_format(service, receiver):
    service.post("table", table="account", count=20)
    service.post("table", table="new_tag", count=2)
    service.post("table", table="mserp_vendvendorv2entity", count=2)
    service.post("webhook", url=receiver.url, secret={"header": "x-key", "value": "s3cret"})
    service.post("webhook", url=receiver.url, secret={"query": "code", "value": "abc"},
                 tables=["new_tag"], messages=["Delete"])
    account, = service.post("change", table="account", count=1)["ids"]
    sent(service, receiver, 1)
    path, headers, raw = receiver.posts[0]
    assert path == "/hook" and headers["x-key"] == "s3cret"
    assert headers["x-ms-dynamics-entity-name"] == "account"
    assert headers["x-ms-dynamics-request-name"] == "Update"
    assert b"\\/Date(" in raw and b"http:\\/\\/schemas" in raw and not re.search(rb"[^\\]/", raw)
    context, = receiver.bodies()
    assert context["MessageName"] == "Update" and context["PrimaryEntityId"] == account
    assert context["Stage"] == 40 and context["ParentContext"]["Stage"] == 30
    target = parameter(context, "Target")
    assert list(target)[0] == "__type" and target["Id"] == account
    changed = {a["key"] for a in target["Attributes"]}
    assert {"accountid", "modifiedon"} <= changed and len(changed) < 20
    image = context["PostEntityImages"][0]
    assert image["key"] == "AsynchronousStepPrimaryName" and "__type" not in image["value"]

    tag, other = [line["id"] for line in service.truth("new_tag")]
    service.post("associate", relationship="new_account_tag", target=account, related=tag)
    related = service.get(f"accounts({account})/new_account_tag?$select=new_tagid"
                          f"&$filter=new_tagid eq {tag}").json["value"]
    assert [row["new_tagid"] for row in related] == [tag]
    service.post("disassociate", relationship="new_account_tag", target=account, related=tag)
    assert service.get(f"accounts({account})/new_account_tag").json["value"] == []
    truth, = service.lines("truth?relationship=new_account_tag")
    assert (truth["target"], truth["related"], truth["deleted"]) == (account, tag, True)
    service.post("delete", table="new_tag", ids=[other])
    vendor, = service.post("change", table="mserp_vendvendorv2entity", count=1)["ids"]
    hooks = sent(service, receiver, 6)
    assert hooks["delivered"] == 6 and hooks["answers"] == {"200": 6}
    by_name = {context["MessageName"]: context for context in receiver.bodies()}
    assert parameter(by_name["Associate"], "Relationship")["SchemaName"] == "new_account_tag"
    assert parameter(by_name["Associate"], "RelatedEntities")[0]["Id"] == tag
    assert parameter(by_name["Delete"], "Target")["Id"] == other
    assert by_name["OnExternalUpdated"]["PrimaryEntityId"] == vendor
    assert "BusinessEventId" in by_name["OnExternalUpdated"]
    assert "Disassociate" in by_name
    assert sum(path == "/hook?code=abc" for path, _, _ in receiver.posts) == 1


def test_webhooks_are_tried_again_once_and_only_after_502_503_504(service, receiver):
    service.post("table", table="account", count=20)
    service.post("webhook", url=receiver.url)
    service.switch(hook_retry_ms=10)
    receiver.answers = [503, 200, 500, 502, 504]
    for _ in range(3):
        before = len(receiver.posts)
        service.post("change", table="account", count=1)
        hooks = sent(service, receiver, before + 1)
    assert len(receiver.posts) == 5
    assert (hooks["retried"], hooks["failed"], hooks["delivered"]) == (2, 2, 1)
    assert hooks["answers"] == {"503": 1, "200": 1, "500": 1, "502": 1, "504": 1}


def test_webhooks_get_lost_doubled_late_stripped_and_rolled_back(service, receiver):
    service.post("table", table="account", count=200)
    service.post("webhook", url=receiver.url)
    service.switch(hook_lose_percent=100)
    service.post("change", table="account", count=3)
    service.switch(hook_lose_percent=0, hook_double_percent=100)
    service.post("change", table="account", count=2)
    assert sent(service, receiver, 4)["lost"] == 3 and len(receiver.posts) == 4

    service.switch(hook_double_percent=0, hook_oversize=100)
    service.post("change", table="account", count=1)
    sent(service, receiver, 5)
    assert receiver.posts[-1][1]["x-ms-dynamics-msg-size-exceeded"]
    stripped = receiver.bodies()[-1]
    assert stripped["PrimaryEntityId"] and "InputParameters" not in stripped
    assert not {"ParentContext", "PreEntityImages", "PostEntityImages"} & stripped.keys()

    service.switch(hook_oversize=0, hook_rollback_percent=100)
    before = service.stats()["changes"]
    service.post("change", table="account", count=10)
    sent(service, receiver, 25)
    assert service.stats()["changes"] == before + 10
    rolled_back = [body for body in receiver.bodies()[5:] if body["IsInTransaction"]]
    assert len(rolled_back) == 10 and all(body["Mode"] == 0 for body in rolled_back)

    service.switch(hook_rollback_percent=0, hook_disorder=300, hook_delay_ms={"min": 1, "max": 5})
    order = [service.post("change", table="account", count=1)["ids"][0] for _ in range(30)]
    sent(service, receiver, 55)
    seen = [body["PrimaryEntityId"] for body in receiver.bodies()[25:]]
    assert sorted(seen) == sorted(order) and seen != order
    service.sim.post("reset")
    assert service.sim.get("dv/hooks")["webhooks"] == []


def test_webhooks_over_tls_and_receivers_that_do_not_answer(service, tmp_path):
    authority = Authority(tmp_path)
    files = authority.sign("hook", "/CN=127.0.0.1", "IP:127.0.0.1")
    secure = Receiver(files.certificate, files.key)
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        service.post("table", table="account", count=5)
        number = service.post("webhook", url=secure.url)["id"]
        service.post("change", table="account", count=1)
        wait_until(lambda: service.sim.get("dv/hooks")["failed"] == 1, DEADLINE_S, "the certificate was trusted")
        service.switch(hook_ca=str(authority.file))
        service.post("change", table="account", count=1)
        sent(service, secure, 1)
        service.switch(hook_ca=None, hook_verify=False)
        service.post("change", table="account", count=1)
        assert sent(service, secure, 2)["delivered"] == 2

        service.post("webhook", remove=number)
        service.post("webhook", url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        service.switch(hook_timeout_ms=100)
        service.post("change", table="account", count=1)
        wait_until(lambda: service.sim.get("dv/hooks")["failed"] == 2, DEADLINE_S, "it waits for ever")
        assert service.sim.get("dv/hooks")["answers"] == {"none": 2, "200": 2}
        service.switch(hook_timeout_ms=60000)
        service.post("change", table="account", count=1)
        wait_until(lambda: service.sim.get("dv/hooks")["in_flight"] == 1, DEADLINE_S, "nothing is under way")
    finally:
        secure.server.shutdown()
        secure.server.server_close()
        begun = time.monotonic()
        service.sim.stop()  # in the middle of a post
        silent.close()
    assert time.monotonic() - begun < 10, "the post would have been waited for for a minute"
