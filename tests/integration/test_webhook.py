"""Events of Dataverse: bells that make sluice look at once, rows that are read back, and whatever may
happen to a post on its way."""

import json
import threading
import time

import books
from certificates import Authority
from dataverse_script import Script, guid, row
from feeds import logged
from gate import Gate
from hooks import KEY, SECRET, Hooks, Poster, association, event
from mailbox import Mailbox
from process import free_port, wait_until
from readiness import wait_trouble
from tables import end_lease, owns, status

ROW = "60c4e274-0d87-4e11-80e5-00155db19e6d"
VIRTUAL = "mserp_vendvendorv2entity"
MANY = {"update": 60, "create": 15, "delete": 15, "recreate": 10}


def outcomes(sluice):
    """{outcome: how many posts}, of those that there were."""
    counted = sluice.metrics().all("sluice_webhook_events_total", source="hook")
    return {labels["outcome"]: int(number) for labels, number in counted if number}


def read_backs(sluice, outcome, feed="new_visit"):
    return sluice.metrics().get("sluice_read_backs_total", feed=feed, outcome=outcome)


def source_status(sluice, name="hook"):
    return json.loads(sluice.ops("/status")[1])["sources"][name]


# --- bells ---


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
    assert slowest < 3, "polls are 30 seconds apart"
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
    polls, bells = status(sluice)["polls"], status(sluice)["bells"]
    for _ in range(10):
        scene.change(count=1)
        scene.wait_followed(timeout_s=5)
        time.sleep(0.3)  # a poll that nobody rang for is never due
        assert status(sluice)["interval_ms"] == 3000
    assert status(sluice)["bells"] == bells + 10
    assert status(sluice)["polls"] <= polls + 12


def test_bells_that_are_lost_doubled_late_and_rolled_back_do_no_harm(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 100}, every="1s", max_interval="1s")
    scene.switch(hook_lose_percent=40, hook_double_percent=30, hook_rollback_percent=20,
                 hook_oversize=20, hook_disorder=400)
    scene.sluice()
    scene.register()
    sim.dataverse("load", tables=["account"], per_s=60, seconds=3, mix=MANY, seed=7)
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


# --- rows that are read back ---


def test_rows_are_read_back_whatever_became_of_them(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0, "account": 40, "contact": 10, VIRTUAL: 10},
                  feeds={"account": {"select": ["name", "creditlimit", "_ownerid_value"]},
                         "contact": {"formatted_values": True}})
    sluice = scene.sluice()
    scene.register()
    visits = scene.create(30, "new_visit")
    scene.change("account", count=30)
    scene.change("contact", count=10)
    scene.change(VIRTUAL, count=8)
    scene.delete(VIRTUAL, count=3)
    scene.wait_followed(timeout_s=15)
    scene.change("new_visit", ids=visits[:10])
    scene.delete("new_visit", ids=visits[:6])
    scene.recreate("new_visit", ids=visits[:3])
    scene.change("new_visit", ids=visits[:2])
    scene.wait_followed("new_visit", timeout_s=15)
    assert scene.tombstones("new_visit").keys() == set(visits[3:6])
    scene.check_nothing_lost()
    assert sluice.metrics().get("sluice_read_backs_total", outcome="dead") == 0
    assert sluice.stop() == 0


def test_events_in_any_order_and_number_end_with_the_truth(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    scene.switch(hook_double_percent=30, hook_rollback_percent=30, hook_oversize=30, hook_disorder=700)
    sluice = scene.sluice()
    scene.register()
    scene.create(15, "new_visit")
    sim.dataverse("load", tables=["new_visit"], per_s=80, seconds=3, mix=MANY, seed=11)
    scene.check_nothing_lost()
    assert scene.posts()["failed"] == 0
    assert read_backs(sluice, "deletion") > 0


def test_a_row_is_read_back_while_its_post_waits_unless_that_takes_long(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    rows = scene.create(4, "new_visit")
    poster = Poster(scene.port)

    def post(row, **more):
        began = time.monotonic()
        status, text, _ = poster.send(event("new_visit", row, **more))
        assert status == 200
        return json.loads(text)["outcome"], time.monotonic() - began

    wait_until(lambda: source_status(sluice)["trouble"] == "", 10, "the connections")
    wait_until(lambda: post(rows[0], Mode=1)[0] == "read_back", 10, "a row that is read at once")
    wait_until(lambda: rows[0] in scene.live("new_visit"), 10, "the row")
    # A synchronous step's transaction would wait for us, and so would its row; so it is when nobody says.
    assert [post(rows[0], Mode=0)[0], post(rows[0])[0]] == ["queued", "queued"]
    # What takes longer is queued after all, and the next ones at once.
    scene.switch(dv_delay_ms=3000)
    outcome, took_s = post(rows[1], Mode=1)
    assert outcome == "queued" and 1.9 < took_s < 2.9
    outcome, took_s = post(rows[2], Mode=1)
    assert outcome == "queued" and took_s < 1
    scene.switch(dv_delay_ms=0)
    wait_until(lambda: set(rows[:3]) <= set(scene.live("new_visit")), 20, "the rows")
    wait_until(lambda: not source_status(sluice)["reading"], 10, "the reading")
    assert workspace.queue_depth("events.hook") == 0
    # The link to the queue may break meanwhile.
    wait_until(lambda: post(rows[0], Mode=1)[0] == "read_back", 20, "a row that is read at once again")
    scene.switch(dv_delay_ms=1500)
    posting = threading.Thread(target=lambda: answers.append(post(rows[3], Mode=1)[0]))
    answers = []
    posting.start()
    wait_until(lambda: source_status(sluice)["reading"], 5, "the reading")
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_delete(f"{workspace.exchange}.events.hook")
    posting.join()
    assert answers in (["queued"], ["read_back"])
    wait_until(lambda: set(scene.live("new_visit")) == set(rows), 20, "the last row")


def test_one_id_is_asked_for_once_at_a_time(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    scene.register()
    row, = scene.create(1, "new_visit")
    scene.wait_followed()
    scene.switch(dv_delay_ms=300)
    before = scene.user()["requests"]
    threads = [threading.Thread(target=Poster(scene.port).send, args=[event("new_visit", row, Mode=i % 2)])
               for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: sum(outcomes(sluice).values()) == 41, 10, "the events")
    assert outcomes(sluice)["queued"] >= 20 and outcomes(sluice)["read_back"] > 1
    wait_until(lambda: not source_status(sluice)["reading"], 10, "the reading")
    assert workspace.queue_depth("events.hook") == 0
    asked = scene.user()["requests"] - before
    assert 2 <= asked <= 6, f"40 events, {asked} requests"
    scene.switch(dv_delay_ms=0)
    scene.change("new_visit", ids=[row])
    scene.check_nothing_lost()


def test_associations_are_documents_whichever_end_tells(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 3}, {"new_tag": 4}, relationship=True)
    sluice = scene.sluice()
    accounts = [row["id"] for row in scene.rows("account")]
    tags = [row["id"] for row in scene.all_rows("new_tag")]
    join = dict(relationship="new_account_tag", target=accounts[0])

    def settled():
        return scene.stored_associations() == scene.associations()

    scene.register()
    sim.dataverse("associate", **join, related=tags[0])
    sim.dataverse("associate", **join, related=tags[1])
    wait_until(settled, 10, "two associations")
    one = workspace.db["tags"].find_one({"_id": f"{accounts[0]}|{tags[0]}"}, {"_sluice": 0})
    assert one == {"_id": f"{accounts[0]}|{tags[0]}", "relationship": "new_account_tag",
                   "target": {"table": "account", "id": accounts[0]},
                   "related": {"table": "new_tag", "id": tags[0]}}
    sim.dataverse("disassociate", **join, related=tags[0])
    wait_until(settled, 10, "one that ended")
    # Told from the other end, and of several at once; nobody registered for these changes.
    sim.dataverse("webhook", remove=1)
    sim.dataverse("associate", relationship="new_account_tag", target=accounts[1], related=tags[2])
    sim.dataverse("associate", relationship="new_account_tag", target=accounts[2], related=tags[2])
    poster = Poster(scene.port)
    several = association(("new_tag", tags[2]), [("account", one) for one in accounts[1:]])
    assert poster.send(several)[0] == 200
    wait_until(settled, 10, "those told from the other end")
    # The rows beneath are gone, and with them the associations.
    scene.delete("account", ids=[accounts[1]])
    end = association(("account", accounts[1]), [("new_tag", tags[2])], "Disassociate")
    assert poster.send(end)[0] == 200
    wait_until(lambda: workspace.db["tags"].find_one({"_id": f"{accounts[1]}|{tags[2]}"})["_sluice"]
               .get("deleted"), 10, "the association of a row that is gone")
    scene.wait_books_closed()
    assert books.check_all(workspace) > 0
    assert outcomes(sluice).get("malformed") is None


def test_associations_that_an_event_was_too_small_for_are_told_to_people(sim, workspace):
    with Mailbox() as mailbox:
        scene = Hooks(sim, workspace, {"account": 3}, {"new_tag": 2}, relationship=True)
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.switch(hook_oversize=100)
        scene.register()
        target = next(row["id"] for row in scene.rows("account"))
        related = next(row["id"] for row in scene.all_rows("new_tag"))

        def notices():
            return sluice.metrics().get("sluice_alerts_total", kind="notice", outcome="raised")

        scene.change("new_tag", count=1)  # this one names its row all the same
        scene.change("account", count=1)
        scene.wait_posts()
        assert notices() == 0
        for call in ("associate", "disassociate"):
            sim.dataverse(call, relationship="new_account_tag", target=target, related=related)
        scene.wait_posts()
        assert notices() > 0
        mail = wait_until(lambda: mailbox.mails, 10, "the mail")[0]
        assert "associations may be missing" in mail["Subject"]
        text = " ".join(mail.get_content().split())
        assert "tags" in text and "associate those rows again, fewer at a time" in text
        assert scene.posts()["answers"] == {"200": 4}, "the service cannot mend it"
        assert workspace.db["tags"].count_documents({}) == 0


def test_an_association_that_is_out_of_sight_has_not_ended(sim, workspace):
    """The service leaves out what the application user may not see, and says nothing."""
    scene = Hooks(sim, workspace, {"account": 4}, {"new_tag": 4}, relationship=True)
    sluice = scene.sluice()
    account = next(scene.rows("account"))["id"]
    tags = [row["id"] for row in scene.all_rows("new_tag")]
    join = dict(relationship="new_account_tag", target=account)

    def settled():
        return scene.stored_associations() == scene.associations()

    scene.register()
    for tag in tags[:2]:
        sim.dataverse("associate", **join, related=tag)
    wait_until(settled, 10, "two associations")
    assert sluice.stop() == 0
    scene.switch(dv_read_depth="basic")  # the first of four rows can be seen
    sluice.start()
    wait_until(lambda: owns(sluice), 20, "an owner")
    assert Poster(scene.port).send(association(("account", account), [("new_tag", tags[1])]))[0] == 200
    wait_trouble(sluice, "feed tags", "security role")
    told = logged(sluice, "the application user sees part of the table only", feed="tags")
    assert len(told) == 1 and "reaches less than the organisation (Basic)" in told[0]["error"]
    # Of what can be seen an end is an end.
    sim.dataverse("disassociate", **join, related=tags[0])
    wait_until(settled, 20, "the one that ended")
    assert scene.stored_associations() == {f"{account}|{tags[0]}": False, f"{account}|{tags[1]}": True}

    # Associated anew, it stays a trouble: more may be out of sight.
    sim.dataverse("disassociate", **join, related=tags[1])
    sim.dataverse("associate", **join, related=tags[0])
    wait_until(lambda: scene.stored_associations()[f"{account}|{tags[0]}"], 20, "one that came back")
    assert scene.stored_associations()[f"{account}|{tags[1]}"]
    wait_trouble(sluice, "feed tags")
    scene.switch(dv_read_depth="global")
    wait_until(settled, 30, "the other one, too")
    sluice.restart()
    sluice.wait_ready(30)


def test_rows_that_cannot_be_read_back_are_dead_letters_or_wait_for_an_operator(sim, workspace):
    with Mailbox() as mailbox:
        scene = Hooks(sim, workspace, read_back={"new_visit": 0})
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.register()
        visits = scene.create(4, "new_visit")
        scene.wait_followed()
        scene.switch(dv_wrong_type_next=1)
        scene.change("new_visit", ids=visits[:1])
        letter = wait_until(lambda: books.letters(workspace), 10, "the dead letter")[0]
        assert (letter["code"], letter["id"]) == ("untypable", visits[0])

        scene.switch(dv_no_org_read=True)
        scene.change("new_visit", ids=visits)
        reason = wait_trouble(sluice, "feed new_visit", "security role")
        assert sim.client_secret not in reason + sluice.log_path.read_text()
        wait_until(lambda: mailbox.mails, 10, "the mail")
        scene.switch(dv_no_org_read=False)
        scene.wait_followed(timeout_s=20)
        sluice.wait_ready(10)
        scene.check_nothing_lost()


def test_a_table_that_does_not_exist_is_named_and_holds_up_nothing_else(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 5}, {"new_visit": 0})
    config = scene.config()
    config["feeds"]["ghosts"] = {"source": "hook", "table": "new_ghost", "collection": "ghosts"}
    sluice = workspace.sluice(config, ready_timeout_s=30)
    wait_until(lambda: owns(sluice), 10, "an owner")
    scene.register()
    poster = Poster(scene.port)
    for number in range(60):
        assert poster.send(event("new_ghost", ROW[:-2] + f"{number:02x}"))[0] == 200
    wait_trouble(sluice, "feed ghosts", "has no table 'new_ghost'")
    scene.create(10, "new_visit")
    scene.change(count=3)
    scene.wait_followed(timeout_s=15)
    letters = wait_until(lambda: books.letters(workspace), 10, "those that found no place to wait")
    assert {(one["code"], one["feed"]) for one in letters} == {("read_back", "ghosts")}


def test_a_service_that_fails_or_throttles_is_asked_again(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    scene.register()
    visits = scene.create(10, "new_visit")
    scene.wait_followed()
    scene.switch(dv_500_next=3, dv_malformed_next=2, dv_cut_body_next=2, dv_html_next=2)
    scene.change("new_visit", ids=visits)
    scene.wait_followed(timeout_s=20)
    scene.switch(dv_429_next=2, dv_503_next=1, dv_retry_after=1)
    scene.delete("new_visit", ids=visits[:5])
    scene.check_nothing_lost()
    assert read_backs(sluice, "failed") >= 5 and read_backs(sluice, "dead") == 0


def test_a_deletion_wins_although_all_state_was_lost(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    hook = scene.register()
    visits = scene.create(4, "new_visit")
    scene.wait_followed()
    assert sluice.stop() == 0
    sim.dataverse("webhook", remove=hook)
    workspace.client.drop_database(workspace.state_database)
    scene.delete("new_visit", ids=visits[:1])
    sluice.start(ready_timeout_s=20)
    assert Poster(scene.port).send(event("new_visit", visits[0], "Delete"))[0] == 200
    scene.check_nothing_lost()
    assert scene.tombstones("new_visit").keys() == {visits[0]}


# --- servers and processes that end ---


def test_without_rabbitmq_events_are_put_off_and_the_retry_delivers_them(sim, rabbit, workspace):
    gate = Gate(rabbit.port)
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice(broker={"url": f"amqp://guest:guest@127.0.0.1:{gate.port}/"})
    try:
        scene.register()
        scene.create(3, "new_visit")
        scene.wait_followed()
        scene.switch(hook_retry_ms=4000, hook_timeout_ms=15000)
        gate.shut()
        wait_trouble(sluice, "source hook")
        rows = scene.create(5, "new_visit")
        wait_until(lambda: scene.posts()["answers"].get("503") == 5, 15, "the posts being put off")
        began = time.monotonic()
        status, _, headers = Poster(scene.port).send(event("new_visit", rows[0]))
        assert status == 503 and int(headers["Retry-After"]) > 0
        assert time.monotonic() - began < 5, "while RabbitMQ is away for long, posts do not pile up"
        gate.open()
        sluice.wait_ready(30)
        scene.check_nothing_lost(30)
        posts = scene.posts()
        assert posts["failed"] == 0 and posts["answers"] == {"200": 8, "503": 5}
        counted = outcomes(sluice)
        assert counted.pop("unavailable") == 6 and sum(counted.values()) == 8
        assert sluice.stop() == 0
    finally:
        gate.close()


def test_a_queue_of_events_that_was_deleted_is_made_again(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    scene.register()
    scene.create(2, "new_visit")
    scene.wait_followed()
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_delete(f"{workspace.exchange}.events.hook")
    rows = scene.create(5, "new_visit")
    scene.wait_followed(timeout_s=20)
    assert len(rows) == 5
    sluice.wait_ready(20)
    # What is no event of sluice is set aside.
    with workspace.rabbit.connect() as connection:
        for body in (b"hello", b'{"event":1,"feed":"gone","rows":[["a","%s"]]}' % ROW.encode()):
            connection.channel().basic_publish("", f"{workspace.exchange}.events.hook", body)
    wait_until(lambda: workspace.queue_depth("unreadable") == 2, 10, "the unreadable ones")
    scene.check_nothing_lost()


def test_what_another_process_hears_reaches_the_owner(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 30}, {"new_visit": 0})
    owner = scene.sluice("owner", mongo={"lease": "30s"})
    wait_until(lambda: owns(owner), 10, "an owner")
    other_port = free_port()
    other = scene.sluice("other", port=other_port, mongo={"lease": "30s"})
    assert not owns(other)
    scene.register(other_port)
    scene.wait_followed("account")
    for _ in range(3):
        began = time.monotonic()
        scene.change(count=2)
        scene.wait_followed("account", timeout_s=5)
        assert time.monotonic() - began < 3, "polls are 30 seconds apart"
    visits = scene.create(10, "new_visit")
    scene.wait_followed(timeout_s=10)
    assert outcomes(other) == {"passed_on": 6, "queued": 10}
    assert source_status(owner)["bells_heard"] >= 3
    assert read_backs(owner, "upsert") == 10 and read_backs(other, "upsert") == 0

    # Ended in the middle of it: the other takes over, and what was not answered comes again.
    for end in (owner.stop, owner.kill):
        before = read_backs(owner, "upsert")
        scene.switch(dv_delay_ms=150)
        sim.dataverse("load", tables=["new_visit"], per_s=60, seconds=2, mix=MANY, seed=5)
        wait_until(lambda: read_backs(owner, "upsert") > before + 2, 10, "reading")
        end()
        scene.switch(dv_delay_ms=0)
        wait_until(lambda: owns(other), 20, "another owner")
        scene.change(count=5)
        scene.wait_followed("account", timeout_s=10)
        if end == owner.stop:
            owner.start(ready_timeout_s=20)
            end_lease(workspace)
            wait_until(lambda: owns(owner), 20, "the first owner again")
    scene.check_nothing_lost()
    assert read_backs(other, "upsert") > 0 and len(visits) == 10


def test_an_owner_that_was_asleep_does_not_bring_back_what_is_gone(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    first = scene.sluice("first")
    wait_until(lambda: owns(first), 10, "an owner")
    port = free_port()
    second = scene.sluice("second", port=port)
    scene.register(port)
    visits = scene.create(10, "new_visit")
    scene.wait_followed(timeout_s=10)
    scene.switch(dv_delay_ms=400)
    scene.change("new_visit", ids=visits)  # it is asked for these …
    wait_until(lambda: source_status(first)["reading"], 10, "the requests")
    first.sigstop()
    scene.switch(dv_delay_ms=0)
    end_lease(workspace)
    wait_until(lambda: owns(second), 20, "another owner")
    scene.delete("new_visit", ids=visits[:5])
    first.sigcont()  # … and hears the answers now
    scene.change("new_visit", ids=visits[5:])
    scene.check_nothing_lost(40)
    assert scene.tombstones("new_visit").keys() == set(visits[:5])


def test_a_table_that_gains_versions_goes_on_in_the_order_of_asking(workspace):
    """Versions by order are far above those of rows: rows with the latter would be stale for ever."""
    with Script(visit=["name"]) as script:
        table, port = script["visit"], free_port()
        table.versions = False
        config = workspace.config(
            sources={"crm": script.source(), "hook": {
                "type": "webhook", "listen": f"127.0.0.1:{port}", "doorbell": "crm",
                "secret": {"header": KEY, "value": SECRET}}},
            feeds={"visits": {"source": "hook", "table": "visit", "collection": "visits",
                              "run_span": "300ms"}})
        documents, poster = workspace.db["visits"], Poster(port)

        def told(number, **fields):
            """An event comes, and the row is seen to be like this in the end (empty: deleted)."""
            if fields:
                table.rows[number] = row(number, 500 + len(table.asked), **fields)
            else:
                table.rows.pop(number)
            assert poster.send(event("visit", guid(number)))[0] == 200
            wanted = fields.get("name")
            wait_until(lambda: (documents.find_one({"_id": guid(number)}) or {}).get("name") == wanted
                       and documents.count_documents({"_id": guid(number)}), 20, f"{number}: {fields}")

        sluice = workspace.sluice(config, ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        told(1, name="first")
        told(2, name="second")
        assert sluice.stop() == 0
        table.versions = True
        for state_lost in (False, True):
            if state_lost:
                workspace.state["checkpoints"].delete_one({"_id": "feed:visits"})
            sluice.start(ready_timeout_s=30)
            sluice.wait_for(lambda: owns(sluice), 20, "the lease")
            told(1, name=f"changed, {state_lost}")
            told(2)
            told(2, name="again")
            assert sluice.stop() == 0
        assert all(one["_sluice"]["v"] > 2**51 for one in documents.find())
