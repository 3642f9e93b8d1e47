"""Another environment behind a source: its row versions say nothing of those that are stored, so that none of its
rows is taken before somebody has said so."""

import json

from feeds import logged
from mailbox import Mailbox
from process import wait_until
from readiness import wait_trouble
from tables import Tables, status
from test_refresh_tables import check_restored, refresh_of


def organisation(workspace, source="crm"):
    mark = workspace.state["checkpoints"].find_one({"_id": f"mark:{source}"}) or {}
    return mark.get("organisation")


def put_another_behind(scene, sluice):
    """The same rows in an organisation that counts from below. Gives those that it does not have."""
    before = scene.stats()["version"]
    scene.change(count=60)
    gone = set(scene.create(3))
    scene.wait_followed()
    scene.wait_books_closed()
    assert sluice.stop() == 0
    scene.sim.dataverse("restore", version=before)
    scene.switch(dv_organisation=7)
    return gone


def offset_of(sluice, source="crm"):
    return json.loads(sluice.ops("/status")[1])["sources"][source]["version_offset"]


def test_another_environment_is_refused_until_the_versions_are_reset(sim, workspace):
    with Mailbox() as mailbox:
        scene = Tables(sim, workspace, {"account": 80, "contact": 20}, sweep_limit=60)
        sluice = scene.sluice(alerts=mailbox.alerts())
        scene.wait_followed()
        first = organisation(workspace)
        assert first and not logged(sluice, "feed in trouble, will try again")
        sluice.restart(ready_timeout_s=30)  # the same: nothing to say
        scene.time_of_a_change("account")
        gone = put_another_behind(scene, sluice)
        stored = scene.live()

        sluice.start()
        for feed in scene.tables:
            wait_trouble(sluice, f"feed {feed}", "source 'crm' was organisation", first,
                         f"sluice refresh {feed} --reset-versions --confirm crm")
        wait_until(lambda: mailbox.mails, 20, "the mail")
        assert "--reset-versions" in mailbox.mails[0].get_content().replace("\n", " ")
        told = sluice.command("doctor").stdout
        assert f"what is stored came from {first}" in told and "--confirm crm" in told
        scene.change(count=5)
        plain = sluice.command("refresh", "account")  # else none could be asked for with a reset
        assert plain.returncode == 1 and "was organisation" in plain.stdout + plain.stderr
        assert scene.live() == stored and organisation(workspace) == first
        assert not status(sluice)["polls"]

        asked = sluice.command("refresh", "account", "--reset-versions", "--confirm", "crm")
        assert asked.returncode == 0, asked.stdout + asked.stderr
        wait_until(lambda: refresh_of(workspace, "contact").get("state") == "done", 40, "contact")
        offset = offset_of(sluice)
        check_restored(scene, offset)
        assert organisation(workspace) not in (None, first)
        assert not gone & scene.live().keys()
        sluice.restart(ready_timeout_s=30)
        scene.change(count=5)
        check_restored(scene, offset)  # known again once the source is taken up, which ready does not say


def test_a_source_of_another_name_begins_above_what_another_environment_left(sim, workspace):
    scene = Tables(sim, workspace, {"account": 80}, sweep_limit=60)
    sluice = scene.sluice()
    scene.wait_followed()
    gone = put_another_behind(scene, sluice)
    wanted = scene.config()
    wanted["sources"] = {"other": wanted["sources"]["crm"]}
    wanted["feeds"]["account"]["source"] = "other"
    moved = workspace.sluice(wanted, "moved", ready_timeout_s=30)
    wait_until(lambda: offset_of(moved, "other"), 20, "versions above all before")
    check_restored(scene, offset_of(moved, "other"))
    assert not gone & scene.live().keys()
    assert organisation(workspace, "other") != organisation(workspace)
