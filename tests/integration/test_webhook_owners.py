"""Events when a server or a process ends between post and row."""

import datetime
import time

from dataverse_script import Script, guid
from feeds import logged
from gate import Gate
from hooks import (MIX, ROW, Hooks, Poster, event, outcomes, queue_events, read_backs, reading_back,
                   source_status)
from process import free_port, wait_until
from readiness import wait_trouble
from tables import end_lease, owns

LONG_AGO, FAR_AWAY = (datetime.datetime(year, 1, 1) for year in (2000, 2100))


def test_without_rabbitmq_events_are_put_off_and_the_retry_delivers_them(sim, rabbit, workspace):
    gate = Gate(rabbit.port)
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice(broker={"url": f"amqp://guest:guest@127.0.0.1:{gate.port}/"})
    try:
        scene.register()
        scene.create(3, "new_visit")
        scene.wait_followed()
        scene.switch(hook_retry_ms=8000, hook_timeout_ms=15000)
        gate.shut()
        wait_trouble(sluice, "source hook")
        rows = scene.create(5, "new_visit")
        wait_until(lambda: scene.posts()["answers"].get("503") == 5, 15, "the posts being put off")
        began = time.monotonic()
        status, _, headers = Poster(scene.port).send(event("new_visit", rows[0]))
        assert status == 503 and int(headers["Retry-After"]) > 0
        assert time.monotonic() - began < 9, "while RabbitMQ is away for long, posts do not pile up"
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


def test_events_that_were_put_off_and_did_not_come_again_are_told_to_people(rabbit, workspace):
    gate = Gate(rabbit.port)
    try:
        with Script(visit=["name"]) as script:
            port = free_port()
            config = reading_back(workspace, script, port, ledger_deadline="1s")
            config["broker"]["url"] = f"amqp://guest:guest@127.0.0.1:{gate.port}/"
            sluice = workspace.sluice(config, ready_timeout_s=30)
            gate.shut()
            wait_trouble(sluice, "source hook")
            assert Poster(port).send(event("visit", guid(1)))[0] == 503
            text, = wait_until(lambda: [line["text"] for line in logged(sluice, "alert") if line["kind"] == "notice"],
                               20, "the alert")
            assert "table visit" in text and guid(1) in text
            assert Poster(port).send(event("visit", guid(2)))[0] == 503
            assert sluice.stop() == 0  # nobody else knows of it
            assert "2 so far" in [line["text"] for line in logged(sluice, "alert") if line["kind"] == "notice"][-1]
    finally:
        gate.close()


def test_queues_of_events_that_rabbitmq_has_lost_are_told_once(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    scene.register()
    scene.create(2, "new_visit")
    scene.wait_followed()
    mark = {"_id": f"mark:queue:{workspace.exchange}.events.hook"}

    def lost(*kinds):
        """As after a minute, so that they are no queues that several processes have just made."""
        wait_until(lambda: workspace.state["checkpoints"].find_one(mark), 10, "their being noted")
        workspace.state["checkpoints"].update_one(mark, {"$inc": {"value": -60000}})
        with workspace.rabbit.connect() as connection:
            for kind in kinds:
                connection.channel().queue_delete(f"{workspace.exchange}.{kind}.hook")

    def told():
        return [line for line in logged(sluice, "alert") if line["title"] == "events were lost"]
    assert not told()
    lost("events")
    alert, = wait_until(told, 20, "the alert")
    assert (alert["kind"], alert["subject"]) == ("notice", "hook")
    assert f"'{workspace.exchange}.events.hook'" in alert["text"]
    # Also when sluice came anew together with RabbitMQ; and not when nothing was lost.
    assert sluice.stop() == 0
    lost("events", "later")
    sluice.start(ready_timeout_s=30)
    wait_until(lambda: len(told()) == 2, 20, "the next alert")
    assert sluice.stop() == 0
    lost()
    sluice.start(ready_timeout_s=30)
    scene.create(2, "new_visit")
    scene.wait_followed()
    assert len(told()) == 2
    scene.check_nothing_lost()


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
    # What is no event of sluice is set aside, though somebody deleted the queue for that.
    with workspace.rabbit.publishing() as channel:
        channel.queue_delete(f"{workspace.exchange}.unreadable")
        for body in (b"hello", b'{"event":1,"feed":"gone","rows":[["a","%s"]]}' % ROW.encode()):
            channel.basic_publish("", f"{workspace.exchange}.events.hook", body)
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
        assert time.monotonic() - began < 9, "polls are 30 seconds apart"
    visits = scene.create(10, "new_visit")
    scene.wait_followed(timeout_s=10)
    # A row may be there before it was counted that it is on its way.
    wait_until(lambda: outcomes(other) == {"passed_on": 6, "queued": 10}, 10, "the outcomes")
    wait_until(lambda: read_backs(owner, "upsert") == 10, 10, "ten rows being counted")
    assert source_status(owner)["bells_heard"] >= 3
    assert read_backs(other, "upsert") == 0

    # Ended in the middle of it: the other takes over, and what was not answered comes again.
    for end in (owner.stop, owner.kill):
        before = read_backs(owner, "upsert")
        scene.switch(dv_delay_ms=150)
        sim.dataverse("load", tables=["new_visit"], per_s=60, seconds=2, mix=MIX, seed=5)
        wait_until(lambda: read_backs(owner, "upsert") > before + 2, 10, "reading")
        end()
        scene.switch(dv_delay_ms=0)
        wait_until(lambda: owns(other), 30, "another owner")
        scene.change(count=5)
        scene.wait_followed("account", timeout_s=10)
        if end == owner.stop:
            owner.start(ready_timeout_s=20)
            # The other one may renew it before anybody has looked.
            wait_until(lambda: owns(owner) or not end_lease(workspace), 20, "the first owner again", 1)
    scene.check_nothing_lost()
    assert read_backs(other, "upsert") > 0 and len(visits) == 10


def test_what_a_feed_complained_of_is_not_told_by_a_standby_and_told_anew_by_an_owner(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    leases, lease = workspace.state["leases"], {"_id": "source:crm"}

    def told():
        """How often an operator was to be told, whether that was news or not."""
        return sum(sluice.metrics().get("sluice_alerts_total", kind="operator", outcome=outcome)
                   for outcome in ("raised", "suppressed"))

    scene.register()
    visits = scene.create(2, "new_visit")
    scene.wait_followed()
    scene.switch(dv_no_org_read=True)
    scene.change("new_visit", ids=visits)
    wait_trouble(sluice, "feed new_visit", "security role")
    assert told() == 1
    leases.update_one(lease, {"$set": {"owner": "another", "expires_at": FAR_AWAY}, "$inc": {"epoch": 1}})
    wait_until(lambda: not owns(sluice), 20, "another owner")
    sluice.wait_ready(10)
    leases.update_one(lease, {"$set": {"expires_at": LONG_AGO}})
    wait_until(lambda: owns(sluice), 20, "its being ours again")
    wait_trouble(sluice, "feed new_visit", "security role")
    assert told() == 2
    scene.switch(dv_no_org_read=False)
    scene.check_nothing_lost()
    sluice.wait_ready(10)


def test_an_owner_that_was_asleep_does_not_bring_back_what_is_gone(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    first = scene.sluice("first")
    wait_until(lambda: owns(first), 10, "an owner")
    port = free_port()
    second = scene.sluice("second", port=port)
    scene.register(port)
    visits = scene.create(10, "new_visit")
    scene.wait_followed(timeout_s=10)
    scene.switch(dv_delay_ms=4000)
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


def test_an_owner_of_old_asks_for_nothing_any_more(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0}, source={"budget": {"concurrency": 2}})
    first = scene.sluice("first")
    wait_until(lambda: owns(first), 10, "an owner")
    second = scene.sluice("second", port=free_port())
    visits = scene.create(160, "new_visit")

    def asked():
        return source_status(first, "crm")["budget"]["requests"]

    scene.switch(dv_delay_ms=1000)
    queue_events(workspace, "new_visit", "new_visit", *(visits[i:i + 20] for i in range(0, 160, 20)))
    wait_until(lambda: source_status(first)["reading"] == 2, 10, "the requests")
    wait_until(lambda: owns(second) or not end_lease(workspace), 20, "another owner", 1)
    wait_until(lambda: not owns(first), 20, "the first one knowing it")
    before = asked()
    scene.switch(dv_delay_ms=0)
    wait_until(lambda: set(scene.live("new_visit")) == set(visits), 40, "all rows by the second one")
    assert asked() - before <= 2
