"""Refusals that are no verdict on a row: of the whole user, of a part of the path, of a provider that is away."""

import time

import pytest

import books
from dataverse_script import Script, failure, guid, row
from hooks import Hooks, Poster, event, queue_events, reading_back
from process import free_port, wait_until
from readiness import wait_trouble
from tables import owns

MANY = 80  # more than can be asked for at once


def test_a_relationship_that_is_spelt_otherwise_is_told_and_ends_nothing(sim, workspace):
    """Names in a path know case; what comes back is a 404, as for a row that is gone."""
    scene = Hooks(sim, workspace, {"account": 3}, {"new_tag": 2}, relationship="new_Account_tag")
    sluice = scene.sluice()
    scene.register()
    account = next(iter(scene.rows("account")))["id"]
    tag = next(iter(scene.all_rows("new_tag")))["id"]
    sim.dataverse("associate", relationship="new_account_tag", target=account, related=tag)
    wait_trouble(sluice, "feed tags", "no such table or relationship")
    assert not list(workspace.db["tags"].find()) and not books.letters(workspace)


def test_events_outlast_a_user_who_is_not_let_in(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    scene.register()
    visits = scene.create(MANY, "new_visit")
    scene.wait_followed()
    scene.switch(dv_user_disabled=True)
    scene.change("new_visit", ids=visits)
    wait_trouble(sluice, "feed new_visit", "enabled application user")
    scene.wait_posts()
    scene.switch(dv_user_disabled=False)
    scene.check_nothing_lost(90)
    assert not books.letters(workspace)
    wait_until(sluice.ready, 20, "no trouble")


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_a_table_that_fails_holds_up_no_other(workspace, queue_type):
    """Whatever becomes of a message that is returned to its queue: of a classic one it is the next one again."""
    with Script(visit=["name"], other=["name"]) as script:
        visit, other, port = script["visit"], script["other"], free_port()
        config = reading_back(workspace, script, port)
        config["broker"]["queue_type"] = queue_type
        config["sources"]["crm"]["budget"] = {"concurrency": 8}  # and twice as many are delivered at a time
        config["feeds"]["others"] = {"source": "hook", "table": "other", "collection": "others", "run_span": "300ms"}
        sluice = workspace.sluice(config, ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        poster, visits, others = Poster(port), workspace.db["visits"], workspace.db["others"]

        visit.refusal = failure(500, "0x80040265", "the provider of the virtual table is away")
        visit.rows = {number: row(number, 500, name="one") for number in range(1, MANY + 1)}
        queue_events(workspace, "visits", "visit", *map(guid, visit.rows))
        wait_trouble(sluice, "feed visits", "provider")
        for number in range(1, 30):
            other.rows[number] = row(number, 500, name="two")
        queue_events(workspace, "others", "other", *map(guid, other.rows))
        wait_until(lambda: others.count_documents({"name": "two"}) == 29, 20, "the rows of the other table")
        other.rows[1] = row(1, 600, name="three")
        assert "read_back" in poster.send(event("other", guid(1)))[1]

        # Those that wait ask with longer and longer pauses, the others do not at all.
        visit.asked.clear()
        time.sleep(3)
        assert len(visit.asked) <= 30
        visit.refusal = None
        wait_until(lambda: visits.count_documents({"name": "one"}) == MANY, 60, "the rows of the table that failed")
        wait_until(lambda: workspace.queue_depth("events.hook") == 0, 10, "the queue")
        assert not books.letters(workspace)


@pytest.mark.rabbit(consumer_timeout_ms=60_000)
def test_rows_that_wait_for_the_budget_are_not_held_for_too_long(own_rabbit, workspace):
    """Else RabbitMQ would close the channel over and over, as long as the requests of a day are used up."""
    with Script(visit=["name"]) as script:
        visit, port = script["visit"], free_port()
        config = reading_back(workspace, script, port)
        config["broker"]["consumer_timeout"] = "1m"
        config["sources"]["crm"]["budget"] = {"requests_per_day": 100}
        sluice = workspace.sluice(config, ready_timeout_s=30)
        sluice.wait_for(lambda: owns(sluice), 20, "the lease")
        visit.rows = {number: row(number, 500, name="one") for number in range(1, 131)}
        queue_events(workspace, "visits", "visit", *map(guid, visit.rows))
        wait_until(lambda: len(visit.asked) > 80, 30, "the requests of the day")
        time.sleep(80)  # it looks four times in its timeout
        assert len(visit.asked) <= 100
        troubles = [line for line in sluice.log_lines() if "in trouble" in line["msg"]]
        assert not [line for line in troubles if "RabbitMQ" in line["msg"]], troubles
