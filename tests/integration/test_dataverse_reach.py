"""An application user that sees part of a table gets 200 and no word about it. sluice asks how far his right
reaches, tells it, goes on with what it gets, and deletes nothing for being out of sight."""

from dataverse_script import Page, Script, failure, row
from feeds import logged
from mailbox import Mailbox
from process import wait_until
from readiness import troubles, wait_trouble
from tables import Scripted, Tables, owns, status

A, B, C = 1, 2, 3
TOLD = "reaches less than the organisation"


def seen(scene, table="account", of_four=1):
    """Ids of the living rows that the user sees with depth basic (1 of 4), local (2) or deep (3)."""
    return {one["id"] for number, one in enumerate(scene.rows(table, fields=0))
            if "deleted" not in one and number % 4 < of_four}


def asked(scene):
    """How often the service was asked how far a right reaches."""
    return sum(scene.sim.get("stats")["requests"].get("dv_privilege", {}).values())


def test_a_user_who_sees_part_of_a_table_is_told_at_start_until_he_sees_all(sim, workspace):
    with Mailbox() as mailbox:
        scene = Tables(sim, workspace, {"account": 40, "contact": 8})
        scene.switch(dv_read_depth="basic")
        sluice = scene.sluice(start=False, alerts=mailbox.alerts())
        sluice.start()
        reason = wait_trouble(sluice, "feed account", "prvReadAccount", TOLD, "(Basic)", "security role")
        assert status(sluice)["trouble"] == reason
        wait_trouble(sluice, "feed contact", "prvReadContact")

        def told():  # the trouble is there a moment before
            lines = logged(sluice, "the application user sees part of the table only", level="warn")
            return len(lines) >= 2 and lines
        lines = wait_until(told, 20, "both being told")
        assert {line["feed"] for line in lines} == {"account", "contact"} and len(lines) == 2
        wait_until(lambda: mailbox.mails, 20, "the mail")
        assert TOLD in mailbox.mails[0].get_content().replace("\n", " ")

        # What he sees is there, and is followed.
        wait_until(lambda: scene.live().keys() == seen(scene), 20, "the rows in sight")
        scene.change(count=40)
        in_sight = seen(scene)
        wanted = {one["id"]: 2 * one["versionnumber"] for one in scene.rows(fields=0)
                  if one["id"] in in_sight}
        wait_until(lambda: scene.live() == wanted, 20, "their changes")
        assert troubles(sluice).keys() == {"feed account", "feed contact"}

        # Rows that come into sight have not changed: the table is read again. Without a restart, too.
        scene.switch(dv_read_depth="global")
        scene.wait_followed(timeout_s=60)
        sluice.wait_ready(30)
        why = [line["why"] for line in logged(sluice, "full read begins", level="warn")]
        assert why == ["the application user sees all of the table now"] * 2, why
        assert not scene.tombstones() and not any(scene.checkpoint(one).get("partial")
                                                  for one in scene.tables)
        scene.check_nothing_lost()


def test_rows_out_of_sight_are_not_swept(sim, workspace):
    """Also when they came into sight between a full read and its sweep, and when sluice was started
    anew meanwhile."""
    scene = Tables(sim, workspace, {"account": 40}, sweep_limit=100)
    sluice = scene.sluice()
    scene.wait_followed()
    assert not troubles(sluice)
    everything = scene.live().keys()

    # Narrowed while all is well: the full read brings ten of forty.
    scene.switch(dv_read_depth="basic")
    sim.dataverse("expire")
    note = sluice.wait_for(lambda: status(sluice)["note"], 20, "the refusal")
    assert "reads less than the organisation" in note and "30 of 40" in note and "--force" in note
    wait_until(lambda: logged(sluice, "sweep refused"), 10, "the word of it")
    assert scene.live().keys() == everything and not scene.tombstones()
    wait_trouble(sluice, "feed account", TOLD)
    wait_until(lambda: scene.checkpoint().get("partial") is True, 20, "a mark that keeps sweeps off")
    refused = sluice.command("refresh", "account")
    assert refused.returncode == 1 and "reads less than the organisation" in refused.stdout + refused.stderr
    assert not scene.tombstones()

    # Mended while it was down, with a row gone for good: the next start reads all, and sweeps that one.
    assert sluice.stop() == 0
    gone = set(scene.delete(count=1))
    scene.switch(dv_read_depth="global")
    sluice.start(ready_timeout_s=30)
    scene.wait_followed()
    assert scene.tombstones().keys() == gone
    wait_until(lambda: not status(sluice)["note"] and not troubles(sluice), 20, "all being well")
    assert not scene.checkpoint().get("partial")
    scene.check_nothing_lost()


def test_who_says_so_sweeps_what_is_out_of_sight(sim, workspace):
    """Perhaps the rows of one business unit are all that is wanted."""
    scene = Tables(sim, workspace, {"account": 40}, sweep_limit=10)
    sluice = scene.sluice()
    scene.wait_followed()
    scene.switch(dv_read_depth="deep")
    forced = sluice.command("refresh", "account", "--force")
    assert forced.returncode == 0, forced.stdout + forced.stderr
    wait_until(lambda: scene.live().keys() == seen(scene, of_four=3), 20, "the rows in sight")
    wait_trouble(sluice, "feed account", "(Deep)")


def test_a_service_that_does_not_tell_is_taken_at_its_word(sim, workspace):
    """Nothing is concluded; and the question costs a request a table, however many polls there are."""
    scene = Tables(sim, workspace, {"account": 40, "contact": 8, "product": 8}, sweep_limit=100)
    scene.switch(dv_read_depth="untold")
    sluice = scene.sluice()
    scene.wait_followed()
    wait_until(lambda: asked(scene) == 3, 20, "three questions")
    polls = status(sluice)["polls"]
    wait_until(lambda: status(sluice)["polls"] > polls + 5, 20, "more polls")
    assert asked(scene) == 3 and sim.get("stats")["requests"]["dv_whoami"] == {"200": 1}
    assert not troubles(sluice)
    sluice.stop()
    gone = set(scene.delete(count=4))
    sim.dataverse("expire", table="account")
    sluice.start(ready_timeout_s=30)
    scene.wait_followed()
    assert scene.tombstones().keys() == gone
    assert not troubles(sluice) and owns(sluice)
    scene.check_nothing_lost()


def test_of_several_roles_the_widest_counts_and_odd_answers_say_nothing(workspace):
    depths = {"wide": ["Basic", "Global"], "numbers": [1, 3], "none": [], "odd": ["Vast"],
              "away": failure(404, "0x80060888", "Resource not found"), "narrow": ["Basic", "Local"],
              "number": [2]}
    with Script(**{name: ["name"] for name in depths}) as script:
        for name, depth in depths.items():
            script[name].depth = depth
            script[name].answers["full"] = Page([row(A, 100)], delta="d1")
        scene = Scripted(script, workspace)
        sluice = scene.sluice(start=False)
        sluice.start()
        for name in depths:
            scene.wait_stored({A: (200, True)}, name)
            wait_until(lambda: script[name].asked_right, 20, f"{name} being asked for")
        wait_trouble(sluice, "feed narrow", TOLD)
        wait_trouble(sluice, "feed number", TOLD, "(2)")
        assert troubles(sluice).keys() == {"feed narrow", "feed number"}
        assert not script.strangers


def test_a_question_that_finds_no_answer_holds_up_the_sweep_and_nothing_else(workspace):
    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers["full"] = Page([row(A, 100), row(B, 101), row(C, 102)], delta="d1")
        scene = Scripted(script, workspace, sweep_limit=100)
        sluice = scene.sluice()
        scene.wait_stored({A: (200, True), B: (202, True), C: (204, True)})
        wait_until(lambda: table.asked_right, 20, "the question")
        table.depth = failure(500, "0x80040216", "An unexpected error occurred.")
        table.answers = {"full": Page([row(A, 100), row(B, 110)], delta="d2"),
                         "d1": failure(400, "0x80044352", "Version stamp has expired.")}
        wait_until(lambda: logged(sluice, "sweep failed, will try again"), 20, "the question again")
        table.answers["d2"] = Page([row(A, 120)], delta="d3")
        scene.wait_stored({A: (240, True), B: (220, True), C: (204, True)})
        table.depth = ["Global"]
        wait_until(lambda: not scene.stored()[C][1], 20, "the sweep")
        wait_until(lambda: not troubles(sluice), 20, "no trouble")
        assert not script.strangers
        scene.check_versions()
