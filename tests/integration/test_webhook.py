"""Events of Dataverse that are posted: bells that make sluice look at once; who may post, and what."""

import json
import time

from certificates import Authority
from feeds import logged
from hooks import KEY, MIX, ROW, SECRET, VIRTUAL, Hooks, Poster, association, event, outcomes
from process import wait_until
from tables import status


def test_a_bell_brings_a_change_at_once(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 50, VIRTUAL: 20})
    sluice = scene.sluice()
    scene.register(tables=["account", VIRTUAL])
    scene.wait_followed()
    slowest = 0
    for change in (scene.change, scene.delete, scene.change):
        began = time.monotonic()
        change("account", count=5)
        scene.wait_followed("account", timeout_s=5)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 9, "polls are 30 seconds apart"
    scene.recreate("account", count=2)
    scene.change(VIRTUAL, count=1)  # told as OnExternalUpdated, OnExternalDeleted
    scene.delete(VIRTUAL, count=1)
    scene.wait_followed(timeout_s=5)
    scene.check_nothing_lost()
    assert outcomes(sluice) == {"bell": 19}
    assert scene.posts()["answers"] == {"200": 19}


def test_rows_that_a_bell_brought_do_not_make_polls_more_frequent(sim, workspace):
    """Where they are found by polling they do: the next ones would ring, too."""
    scene = Hooks(sim, workspace, {"account": 50}, every="3s", min_interval="300ms")
    sluice = scene.sluice()
    scene.wait_followed()
    wait_until(lambda: scene.change(count=1) and status(sluice)["interval_ms"] == 300, 20,
               "haste without bells", 0.2)
    scene.register()
    wait_until(lambda: status(sluice)["interval_ms"] == 3000, 20, "calm")
    polls, bells, began = status(sluice)["polls"], status(sluice)["bells"], time.monotonic()
    for _ in range(10):
        scene.change(count=1)
        scene.wait_followed(timeout_s=5)
        time.sleep(0.3)  # a poll that nobody rang for is never due
        assert status(sluice)["interval_ms"] == 3000
    wait_until(lambda: status(sluice)["bells"] == bells + 10, 10, "the last bell")
    assert status(sluice)["polls"] <= polls + 12 + (time.monotonic() - began) / 3


def test_bells_that_are_lost_doubled_late_and_rolled_back_do_no_harm(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 100}, every="1s", max_interval="1s")
    scene.switch(hook_lose_percent=40, hook_double_percent=30, hook_rollback_percent=20,
                 hook_oversize=20, hook_disorder=400)
    scene.sluice()
    scene.register()
    sim.dataverse("load", tables=["account"], per_s=60, seconds=3, mix=MIX, seed=7)
    scene.check_nothing_lost()


# --- who may post, and what ---


def test_only_who_knows_the_secret_is_heard(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 5})
    sluice = scene.sluice()
    poster = Poster(scene.port)
    body = event("account", ROW)
    assert poster.send(body)[0] == 200
    for headers, secret in (({}, None), ({KEY: ""}, None), ({}, SECRET[:-1]), ({}, SECRET + "x"),
                            ({"x-other": SECRET}, None)):
        assert poster.send(body, headers, secret=secret)[0] == 401
    assert poster.send(body, secret=None, path=f"/webhook/hook?{KEY}={SECRET}")[0] == 401
    assert poster.send(body, path="/webhook/other")[0] == 404
    assert poster.send("", method="GET")[0] == 405
    # Before any of the body: this one never comes.
    assert poster.send(b"", {"Content-Length": "1000000"}, secret="wrong")[0] == 401
    assert outcomes(sluice) == {"bell": 1, "refused": 7}
    refusals = logged(sluice, "a post without the right secret was refused; more are not logged for a "
                              "minute")
    assert len(refusals) == 1
    assert SECRET not in sluice.log_path.read_text()
    assert SECRET not in sluice.ops("/status")[1] + sluice.ops("/metrics")[1]


def test_a_secret_in_the_query_is_changed_without_losing_a_post(sim, workspace):
    secret = {"query": "code", "value": "old"}
    scene = Hooks(sim, workspace, {"account": 20}, hook={"secret": secret})
    sluice = scene.sluice()
    first = scene.register(secret=secret)
    scene.wait_followed()
    sluice.config["sources"]["hook"]["secret"] = {"query": "code", "value": "new", "old_value": "old"}
    sluice.write_config()
    assert sluice.restart(ready_timeout_s=20) == 0
    scene.change(count=3)
    scene.wait_followed(timeout_s=5)
    sim.dataverse("webhook", remove=first)
    scene.register(secret={"query": "code", "value": "new"})
    scene.change(count=3)
    scene.check_nothing_lost()
    assert scene.posts()["answers"] == {"200": 6}
    poster = Poster(scene.port, "/webhook/hook?code=")
    assert [poster.send(event("account", ROW), path=f"/webhook/hook?code={code}", secret=None)[0]
            for code in ("old", "new", "other", "")] == [200, 200, 401, 401]


def test_a_plus_in_the_query_is_one_whether_escaped_or_not(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 5}, hook={"secret": {"query": "code", "value": "a+b/c=="}})
    scene.sluice()
    poster = Poster(scene.port)
    assert [poster.send(event("account", ROW), path=f"/webhook/hook?code={code}", secret=None)[0]
            for code in ("a+b/c==", "a%2Bb%2Fc%3D%3D", "a-b/c==")] == [200, 200, 401]


def test_what_is_no_event_is_refused_and_what_nobody_wants_is_not(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 5}, {"new_visit": 0})
    sluice = scene.sluice()
    poster = Poster(scene.port)
    refused = [b"", "hello", "[]", "{}", "[" * 1_000_000, '{"a":' * 200_000, {"MessageName": 5},
               event("account", "no-guid"), event("account", 5), event("a/b", ROW),
               event("new_visit", None), '{"MessageName":"Update","x":"\xff"}'.encode("latin-1")]
    for body in refused:
        status, text, _ = poster.send(body)
        assert status == 400 and "no event of Dataverse" in json.loads(text)["error"], body[:80]
    assert poster.send(b"x" * 11_000_000)[0] == 413
    unknown = [event("lead", ROW), event("none", None, "new_Action"), event("lead", ROW, Unknown=[[{}]]),
               association(("lead", ROW), [("list", ROW)], relationship="other")]
    for body in unknown:
        assert poster.send(body)[:2] == (200, '{"outcome":"unclaimed"}\n')
    helped = poster.send({"PrimaryEntityId": ROW}, {"x-ms-dynamics-entity-name": "account",
                                                    "x-ms-dynamics-request-name": "Update"})
    assert helped[:2] == (200, '{"outcome":"bell"}\n')
    assert outcomes(sluice) == {"malformed": len(refused), "unclaimed": len(unknown), "bell": 1}
    named = [line["table"] for line in logged(sluice, "no feed wants these events")]
    assert named == ["lead", "", "lead"], "once a table and relationship"


def test_posts_come_over_tls(sim, workspace, tmp_path):
    authority = Authority(tmp_path / "ca")
    shown = authority.sign("hook", "/CN=localhost", "IP:127.0.0.1")
    files = {"certificate": str(shown.certificate), "key": str(shown.key)}
    scene = Hooks(sim, workspace, {"account": 5}, {"new_visit": 0}, hook={"tls": files})
    scene.switch(hook_ca=str(authority.file))
    scene.sluice()
    scene.register(scheme="https")
    scene.wait_followed("account")
    scene.create(3, "new_visit")
    scene.change(count=2)
    scene.check_nothing_lost()
    assert scene.posts()["answers"] == {"200": 5}
