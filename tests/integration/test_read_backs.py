"""Rows that events name, read back by their ids."""

import json
import threading
import time

from bson import Int64

import books
from dataverse_script import Page, Script, guid, row
from feeds import logged
from hooks import (MIX, ROW, VIRTUAL, Hooks, Poster, association, event, outcomes, queue_events, read_backs,
                   reading_back, source_status)
from mailbox import Mailbox
from process import free_port, wait_until
from readiness import wait_trouble
from tables import owns


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
    sim.dataverse("load", tables=["new_visit"], per_s=80, seconds=3, mix=MIX, seed=11)
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
    wait_until(lambda: post(rows[0], Mode=1)[0] == "read_back", 20, "a row that is read at once")
    wait_until(lambda: rows[0] in scene.live("new_visit"), 10, "the row")
    # A synchronous step's transaction would wait for us, and so would its row; so it is when nobody says.
    assert [post(rows[0], Mode=0)[0], post(rows[0], Mode=None)[0]] == ["queued", "queued"]
    # What takes longer is queued after all, and the next ones at once (the machine may stand still in one).
    scene.switch(dv_delay_ms=7000)
    outcome, took_s = post(rows[1], Mode=1)
    assert outcome == "queued" and 1.9 < took_s < 6
    next_ones = [post(rows[2], Mode=1) for _ in range(3)]
    assert {outcome for outcome, _ in next_ones} == {"queued"}
    assert min(took_s for _, took_s in next_ones) < 1
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


def test_what_a_synchronous_step_tells_of_is_read_when_its_transaction_has_ended(workspace):
    """It posts from inside the transaction, which waits for the answer: what is read before is the old row."""
    workspace.shorten_later(3000)
    with Script(visit=["name"]) as script:
        table, port = script["visit"], free_port()
        sluice = workspace.sluice(reading_back(workspace, script, port), ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        visits, poster = workspace.db["visits"], Poster(port)
        table.rows[1] = row(1, 500, name="old")
        assert poster.send(event("visit", guid(1)))[0] == 200
        wait_until(lambda: visits.count_documents({"name": "old"}) == 1, 20, "the old row")
        table.asked.clear()

        assert "queued" in poster.send(event("visit", guid(1), Mode=0))[1]
        assert "queued" in poster.send(event("visit", guid(2), "Create", Mode=0))[1]
        time.sleep(1)  # and then they commit
        assert not table.asked
        table.rows |= {1: row(1, 600, name="new"), 2: row(2, 590, name="created")}
        wait_until(lambda: visits.count_documents({"name": {"$in": ["new", "created"]}}) == 2, 20, "both rows")
        wait_until(lambda: not workspace.queue_depth("later.hook"), 10, "the queue of later")
        assert len(table.asked) == 2
        told = [line for line in sluice.log_lines() if "synchronous step" in line["msg"]]
        assert [line["table"] for line in told] == ["visit"]


def test_events_that_wait_for_their_transaction_wait_longer_than_any_lasts(workspace):
    """Two minutes is the limit of the service. They leave the queue by themselves, none of them is lost on the way."""
    with Script(visit=["name"]) as script, workspace.rabbit.connect() as connection:
        sluice = workspace.sluice(reading_back(workspace, script, free_port()), ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        connection.channel().queue_declare(f"{workspace.exchange}.later.hook", durable=True, arguments={
            "x-queue-type": "quorum", "x-message-ttl": 150_000, "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{workspace.exchange}.events.hook",
            "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"})


def test_one_id_is_asked_for_once_at_a_time(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    scene.register()
    row, = scene.create(1, "new_visit")
    scene.wait_followed()
    wait_until(lambda: sum(outcomes(sluice).values()) == 1, 10, "the first event")
    scene.switch(dv_delay_ms=300)

    def burst():
        """40 events at once, half of them by the queue; gives how many posts waited for the row, and the most
        requests for it."""
        before, requests, began = outcomes(sluice), scene.user()["requests"], time.monotonic()
        threads = [threading.Thread(target=Poster(scene.port).send, args=[event("new_visit", row)])
                   for _ in range(20)]
        threads += [threading.Thread(target=queue_events, args=[workspace, "new_visit", "new_visit", row])
                    for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: sum(outcomes(sluice).values()) == sum(before.values()) + 20, 10, "the events")
        waited = outcomes(sluice).get("read_back", 0) - before.get("read_back", 0)
        wait_until(lambda: not source_status(sluice)["reading"], 10, "the reading")
        assert workspace.queue_depth("events.hook") == 0
        asked = scene.user()["requests"] - requests
        # One after the other, each of which takes so long.
        assert 2 <= asked <= max(6, 1 + (time.monotonic() - began) / 0.3), f"40 events, {asked} requests"
        return waited, asked

    def undisturbed():  # where a row took two seconds, events are queued for ten
        waited, asked = burst()
        return waited > 1 and asked <= 6

    wait_until(undisturbed, 20, "posts that wait for one row together", 11)
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


def test_many_rows_that_an_event_was_too_small_for_are_told_to_people(sim, workspace):
    with Mailbox() as mailbox:
        scene = Hooks(sim, workspace, {"account": 3}, {"new_visit": 0})
        sluice = scene.sluice(alerts=mailbox.alerts())
        visits = scene.create(2, "new_visit")
        poster, cut = Poster(scene.port), {"x-ms-dynamics-msg-size-exceeded": "true"}
        many = {"MessageName": "UpdateMultiple", "Mode": 1, "InputParameters": [
            {"key": "Targets", "value": {"EntityName": "new_visit", "Entities": [
                {"Id": one, "LogicalName": "new_visit"} for one in visits]}}]}

        # Whole it names its rows, as a cut one does of a single row.
        assert poster.send({**many, "PrimaryEntityName": "new_visit"})[0] == 200
        assert poster.send(event("new_visit", visits[0]), cut)[0] == 200
        wait_until(lambda: set(visits) <= set(scene.live("new_visit")), 10, "the rows")
        # A bell needs no rows.
        assert poster.send(event("account", None, "UpdateMultiple"), cut)[0] == 200
        before = outcomes(sluice)
        assert before["bell"] == 1 and sum(before.values()) == 3 and not {"malformed", "unclaimed"} & set(before)
        assert sluice.metrics().get("sluice_alerts_total", kind="notice", outcome="raised") == 0

        assert poster.send(event("new_visit", None, "UpdateMultiple"), cut)[0] == 200, "a retry mends nothing"
        mail = wait_until(lambda: mailbox.mails, 10, "the mail")[0]
        assert "rows were not read back" in mail["Subject"]
        text = " ".join(mail.get_content().split())
        assert "UpdateMultiple of table new_visit" in text and "Change or touch those rows again" in text
        assert outcomes(sluice) == {**before, "unclaimed": 1}
        # Small ones that name nothing are no events.
        assert poster.send(event("new_visit", None, "UpdateMultiple"))[0] == 400


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


def test_an_association_that_went_out_of_sight_since_the_right_was_asked_for_has_not_ended(sim, workspace):
    """That is asked once an hour, and an event may come sooner."""
    scene = Hooks(sim, workspace, {"account": 1}, {"new_tag": 4}, relationship=True)
    sluice = scene.sluice()
    account = next(scene.rows("account"))["id"]
    tag = [row["id"] for row in scene.all_rows("new_tag")][1]
    scene.register()
    sim.dataverse("associate", relationship="new_account_tag", target=account, related=tag)
    wait_until(lambda: scene.stored_associations() == scene.associations(), 10, "the association")
    scene.switch(dv_read_depth="basic")  # the first of four rows can be seen
    assert Poster(scene.port).send(association(("account", account), [("new_tag", tag)]))[0] == 200

    def judged():
        return read_backs(sluice, "failed", "tags") or read_backs(sluice, "deletion", "tags")

    wait_until(judged, 10, "its being looked for")
    assert not read_backs(sluice, "deletion", "tags")
    wait_trouble(sluice, "feed tags", "security role")
    assert scene.stored_associations() == {f"{account}|{tag}": True}
    scene.switch(dv_read_depth="global")
    sluice.wait_ready(20)
    assert scene.stored_associations() == {f"{account}|{tag}": True}


def test_an_association_of_which_the_answer_says_nothing_has_not_ended(workspace):
    with Script(account=["name"], tag=["name"]) as script:
        account, port = script["account"], free_port()
        config = reading_back(workspace, script, port)
        config["feeds"] = {"tags": {"source": "hook", "relationship": "account_tag", "collection": "tags",
                                    "run_span": "300ms"}}
        sluice = workspace.sluice(config, ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")

        def tell(answer):
            account.related["account_tag"] = answer
            account.asked.clear()
            told = association(("account", guid(1)), [("tag", guid(2))], relationship="account_tag")
            assert Poster(port).send(told)[0] == 200

        def stored(ended):
            return workspace.db["tags"].count_documents({"_sluice.deleted": {"$exists": ended}}) == 1

        tell([{"tagid": guid(2)}])
        wait_until(lambda: stored(ended=False), 20, "the association")
        tell([{"name": "a row without its id"}])
        wait_until(lambda: len(account.asked) >= 3, 20, "its being asked for again")
        assert stored(ended=False) and not books.letters(workspace)
        tell([])
        wait_until(lambda: stored(ended=True), 60, "the end of the association")


def test_rows_that_cannot_be_read_back_are_dead_letters_or_wait_for_an_operator(sim, workspace):
    with Mailbox() as mailbox:
        scene = Hooks(sim, workspace, read_back={"new_visit": 0})
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.register()
        visits = scene.create(4, "new_visit")
        scene.wait_followed()
        scene.switch(dv_wrong_type_next=2)
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


class Told:
    """The rows of a scripted table, each change of which is told by an event."""

    def __init__(self, workspace, table, port):
        self.table, self.poster, self.documents = table, Poster(port), workspace.db["visits"]

    def tell(self, number):
        assert self.poster.send(event("visit", guid(number)))[0] == 200

    def __call__(self, number, name=None, version=500):
        """It is so now (None: deleted), and is seen to be so in the end."""
        self.table.rows.pop(number, None)
        if name:
            self.table.rows[number] = row(number, version, name=name)
        self.tell(number)
        wait_until(lambda: (self.documents.find_one({"_id": guid(number)}) or {"name": ""}).get("name") == name,
                   20, f"{number}: {name}")


def test_what_was_stored_by_row_versions_is_older_than_what_is_read_back(workspace):
    """So that a collection of an older sluice needs nothing, nor does a table that gains or loses them."""
    old = {1: {"v": Int64(2 * 10**12)}, 2: {"v": Int64(2 * 10**12 + 1), "deleted": True}, 3: {"v": Int64(2 * 10**12)}}
    checkpoints, port = workspace.state["checkpoints"], free_port()
    workspace.db["visits"].insert_many([{"_id": guid(number), "_sluice": own, **({"name": "old"} if number != 2 else {})}
                                        for number, own in old.items()])
    checkpoints.insert_one({"_id": "feed:visits", "source": "crm", "epoch": Int64(1), "fence_base": Int64(0),
                            "query": f"row versions in {workspace.database}.visits"})
    with Script(visit=["name"]) as script:
        told = Told(workspace, script["visit"], port)
        sluice = workspace.sluice(reading_back(workspace, script, port), start=False)
        for versions in (True, False, True):
            script["visit"].versions = versions
            sluice.start(ready_timeout_s=30)
            sluice.wait_for(lambda: owns(sluice), 20, "the lease")
            told(1, f"changed, {versions}", version=300)
            told(2, "created again", version=310)
            told(3)
            told(2)
            told(3, "created again", version=320)
            told(3, "restored from a backup", version=100)
            assert sluice.stop() == 0
        order = checkpoints.find_one({"_id": "feed:visits"})["query"]
        assert order == f"order of asking in {workspace.database}.visits"


def test_the_run_that_an_end_meets_is_not_cut_off(workspace):
    """Its events were answered: nobody else would see that its ledger does not close."""
    with Script(visit=["name"]) as script:
        port = free_port()
        told = Told(workspace, script["visit"], port)
        sluice = workspace.sluice(reading_back(workspace, script, port, run_span="1h"), ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        told(1, "one", version=300)
        assert sluice.stop() == 0
        run, = workspace.state["runs"].find({"feed": "visits"})
        assert (run["state"], run["entities"][0]["read"]) == ("published", 1)
        sluice.start(ready_timeout_s=30)
        wait_until(lambda: workspace.state["runs"].find_one({"_id": run["_id"]})["state"] == "done", 20, "the books")


def test_rows_that_were_not_applied_are_told_by_the_next_owner_too(workspace):
    with Script(visit=["name"]) as script:
        port, runs = free_port(), workspace.state["runs"]
        config = {**reading_back(workspace, script, port, ledger_deadline="1s"), "role": "ingest"}
        sluice = workspace.sluice(config, ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")

        def told():
            return [line["text"] for line in logged(sluice, "alert") if line["kind"] == "notice"]
        script["visit"].rows[1] = row(1, 500, name="one")
        assert Poster(port).send(event("visit", guid(1)))[0] == 200
        run = wait_until(lambda: runs.find_one({"state": "published"}), 20, "the run")["_id"]
        with workspace.rabbit.connect() as connection:
            connection.channel().queue_purge(f"{workspace.exchange}.fast")
        wait_until(told, 30, "the alert")
        for _ in range(2):  # and not by the one after that
            assert sluice.stop() == 0
            sluice.start(ready_timeout_s=30)
            sluice.wait_for(lambda: owns(sluice) and source_status(sluice)["trouble"] == "", 20, "the next owner")
            wait_until(lambda: not runs.count_documents({"unsettled": True}), 10, "its being settled")
            wait_until(lambda: len(told()) == 2, 10, "the second alert")
        assert all(run in text and "sluice dead list" in text for text in told())


def test_change_tracking_does_not_go_on_in_a_collection_of_rows_read_back(workspace):
    """Its versions are far below, so that nothing it brings would ever be stored."""
    with Script(visit=["name"]) as script:
        port = free_port()
        script["visit"].answers["full"] = Page([row(1, 500)], delta="d1")
        back = reading_back(workspace, script, port)
        followed = {**back, "feeds": {"visits": {"source": "crm", "table": "visit", "collection": "visits"}}}
        sluice = workspace.sluice(followed, ready_timeout_s=30)
        visits = workspace.db["visits"]
        sluice.wait_for(lambda: visits.find_one({"_sluice.v": 1000}), 20, "the row, followed")
        assert sluice.stop() == 0

        sluice.config = {**back, "ops": sluice.config["ops"]}
        sluice.write_config()
        sluice.start(ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        Told(workspace, script["visit"], port)(1, "read back", version=600)
        assert sluice.stop() == 0

        sluice.config = {**followed, "ops": sluice.config["ops"]}
        sluice.write_config()
        sluice.start()
        wait_trouble(sluice, "feed visits", "holds versions that are not of Dataverse")
        assert visits.find_one({"name": "read back"})
        assert sluice.stop() == 0

        visits.delete_many({})  # what the message asks for
        script["visit"].answers["full"] = Page([row(1, 600)], delta="d2")
        sluice.start(ready_timeout_s=30)
        sluice.wait_for(lambda: visits.find_one({"_sluice.v": 1200}), 30, "the row, followed again")


def test_a_row_lives_that_was_created_again_in_a_transaction_while_a_younger_one_was_read(workspace):
    """Its version is then smaller than what had been read when it was found to be gone."""
    with Script(visit=["name"]) as script:
        port = free_port()
        sluice = workspace.sluice(reading_back(workspace, script, port), ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        told = Told(workspace, script["visit"], port)
        told(1, "one", version=500)
        # A transaction takes version 990 for row 1, which was deleted, and is not seen yet.
        told(2, "two", version=1000)
        told(1)
        told(1, "one again", version=990)  # it has ended
