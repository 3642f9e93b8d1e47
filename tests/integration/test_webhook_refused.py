"""Refusals that are no verdict on a row: of the whole user, of a part of the path, of a provider that is away."""

import books
from hooks import Hooks
from process import wait_until
from readiness import wait_trouble

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
