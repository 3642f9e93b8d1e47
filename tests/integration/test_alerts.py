"""Alerts: each kind is raised by its real cause, told by mail and webhook, shown, and over when the cause is."""

import datetime
import json
import signal
import time

import pytest

import feeds
from certificates import Authority
from feeds import begin, change_records, configure, logged, make_project, runs, wait_run
from gate import Gate
from mailbox import Hook, Mailbox
from servers import wait_until
from tables import Tables
from test_refresh import Refreshed


def switch(sim, **switches):
    sim.post("switches", switches)


def raised_now(sluice):
    """{(kind, subject)} that /status shows; nothing during a reload."""
    try:
        status = json.loads(sluice.ops("/status")[1])
    except OSError:
        return set()
    return {(one["kind"], one["subject"]) for one in status.get("alerts", [])}


def count(sluice, kind, outcome):
    return sluice.metrics().get("sluice_alerts_total", kind=kind, outcome=outcome)


def wait_told(sluice, hook, change, kind, timeout_s=40):
    """Waits until the hook was told of that; gives it."""
    return sluice.wait_for(lambda: hook.told(change, kind), timeout_s, f"{kind} {change}")[0]


def heals(sluice, hook, kind, subject, words=()):
    """Waits for an alert: told with those words, and shown. Then the caller mends its cause."""
    told = wait_told(sluice, hook, "raised", kind)
    assert told["subject"] == subject and all(word in told["text"] for word in words), told
    assert datetime.datetime.fromisoformat(told["since"])
    # Shown, too, unless it ended by itself meanwhile.
    sluice.wait_for(lambda: (kind, subject) in raised_now(sluice) or hook.told("over", kind), 20,
                    f"{kind} in the status")
    yield told
    over = wait_told(sluice, hook, "over", kind)
    assert over["subject"] == subject and over["since"] == told["since"] < over["until"]
    sluice.wait_for(lambda: (kind, subject) not in raised_now(sluice), 20, f"{kind} being shown no more")
    assert count(sluice, kind, "raised") >= 1 and count(sluice, kind, "recovered") >= 1
    # The hook has it before it is known to have been taken.
    sluice.wait_for(lambda: count(sluice, kind, "sent") >= 2, 20, f"{kind} being counted as sent")
    assert count(sluice, kind, "failed") == 0
    assert sluice.metrics().value("sluice_alerts_raised", kind=kind) == 0


# --- the kinds ---


def test_a_failed_run_is_told_by_mail_and_webhook_until_a_full_export_has_healed_it(
        sim, workspace, tmp_path):
    authority = Authority(tmp_path)
    certificate = authority.sign("receiver", "/O=a/CN=receiver", "IP:127.0.0.1")
    login = ("ops", "pa55 of the mailbox")
    with Mailbox(tls=certificate, login=login) as mailbox, Hook(tls=certificate) as hook:
        webhook = {"url": hook.url(), "bearer": "t0ken of the hook"}
        make_project(sim, "VendorsFull", mode="full")
        one = feeds.feed(sim, full_definition_group="VendorsFull")
        sluice = begin(workspace, sim, 60, feeds={"vendors": one},
                       http={"ca_file": str(authority.file)},
                       alerts=mailbox.alerts(webhook=webhook))
        wait_run(sluice, workspace)
        switch(sim, project="VendorsFull", final_status="Failed", fail_next=2)
        switch(sim, project="Vendors", final_status="Failed", fail_next=1)
        change_records(sim, 10)
        alert = heals(sluice, hook, "run_failed", "vendors", ["the export failed", "full export"])
        told = next(alert)
        assert told["title"] == "run failed"
        sluice.wait_for(lambda: runs(workspace, state="done", full=True), 60, "healing")
        assert next(alert, None) is None

        path, headers, body = hook.posts[0]
        assert path == "/services/T0/k3y" and headers["Content-Type"] == "application/json"
        assert headers["Authorization"] == "Bearer t0ken of the hook"
        assert body["text"].startswith("sluice: run failed (vendors)\n\n")
        assert body["sender"]["role"] == "all" and body["sender"]["pid"] == sluice.pid
        mail = wait_until(lambda: mailbox.raised, 10, "a mail")[0]
        assert mail["Subject"] == "sluice: run failed (vendors)" and mail["To"] == "team@contoso.com"
        assert told["text"][:60] in mail.get_content().replace("\n", " ").replace("  ", " ")
        wait_until(lambda: mailbox.over, 10, "a mail of the end")
        assert set(mailbox.logins) == {login}
        # Failures two and three came while the first was raised: one message, and a number.
        assert len(mailbox.raised) == 1 and count(sluice, "run_failed", "suppressed") == 2
        said = sluice.log_path.read_text() + "".join(
            sluice.ops(page)[1] for page in ("/status", "/metrics", "/readyz"))
        for secret in (login[1], "k3y", "t0ken"):
            assert secret not in said


def test_dead_letters_that_grow_are_told_until_they_have_stood_still_for_a_while(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 20, alerts=hook.alerts(dead_letters=3))
        wait_run(sluice, workspace)
        switch(sim, bad_rows={"untypable": 2, "every": 2})
        change_records(sim, 20)
        sluice.wait_for(lambda: sluice.metrics().get(
            "sluice_rows_total", feed="vendors", stage="dead") >= 2, 30, "dead letters")
        switch(sim, bad_rows={"untypable": 4, "every": 2})
        assert not raised_now(sluice)
        change_records(sim, 20)
        alert = heals(sluice, hook, "dead_letters", "vendors", ["sluice dead list --feed vendors"])
        assert "new dead letters" in next(alert)["text"]
        switch(sim, bad_rows={"untypable": 0})
        assert next(alert, None) is None


def test_dead_letters_before_and_after_a_reload_are_counted_together(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 20, alerts=hook.alerts(dead_letters=5, dead_letters_quiet="10m"))
        wait_run(sluice, workspace)
        switch(sim, bad_rows={"untypable": 4, "every": 2})

        def dead(count):
            change_records(sim, 20)
            sluice.wait_for(lambda: sum(entity["dead"] for run in runs(workspace, state="done")
                                        for entity in run["entities"]) == count, 30, "dead letters")
        dead(4)
        sluice.reload()
        sluice.wait_for(lambda: len(logged(sluice, "running")) == 2, 20, "the reload")
        assert not hook.told("raised")
        dead(8)
        assert wait_told(sluice, hook, "raised", "dead_letters")["text"].startswith("8 new dead letters")


def test_dead_letters_of_the_last_moment_are_told(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 20, alerts=hook.alerts(dead_letters=1))
        wait_run(sluice, workspace)
        switch(sim, bad_rows={"untypable": 2, "every": 2})
        change_records(sim, 20)
        dead = workspace.state["dead"]
        wait_until(lambda: dead.count_documents({}), 30, "a dead letter", 0.005)
        assert sluice.stop() == 0
        assert hook.told("raised", "dead_letters")


def test_live_rows_that_come_late_and_rows_that_no_applier_takes_are_told(sim, workspace):
    with Hook() as hook:
        scene = Tables(sim, workspace, {"account": 50}, ledger_deadline="10m")
        alerts = hook.alerts(lag="1500ms", lag_for="4s")
        apply = scene.sluice("apply", role="apply", alerts=alerts)
        ingest = scene.sluice("ingest", role="ingest", alerts=alerts)
        scene.wait_followed()
        apply.signal(signal.SIGSTOP)
        scene.change(count=20)
        waiting = heals(ingest, hook, "lag", "account (waiting)", ["not in MongoDB"])
        next(waiting)
        apply.signal(signal.SIGCONT)
        assert next(waiting, None) is None
        scene.wait_followed()
        hook.posts.clear()

        # Reading once in four seconds keeps no promise of one and a half.
        ingest.config["feeds"]["account"].update(every="4s", min_interval="4s")
        ingest.write_config()
        ingest.reload()

        def late():
            scene.change(count=2)
            return ("lag", "account") in raised_now(apply) and hook.told("raised", "lag")
        told = wait_until(late, 60, "lag, told and shown", 0.3)[0]
        assert told["subject"] == "account" and "promised are 1.5 s" in told["text"]
        ingest.config["feeds"]["account"].update(every="100ms", min_interval="100ms")
        ingest.write_config()
        ingest.reload()

        def in_time():
            scene.change(count=2)
            return hook.told("over", "lag")
        assert wait_until(in_time, 60, "no lag", 0.3)[0]["subject"] == "account"
        scene.check_nothing_lost()


def test_packages_and_full_reads_that_nobody_applies_are_told(sim, workspace):
    with Hook() as hook:
        alerts = hook.alerts(lag="1s", lag_for="1s")
        ingest = begin(workspace, sim, 20, role="ingest", alerts=alerts,
                       feeds={"vendors": feeds.feed(sim, ledger_deadline="1s")})
        waiting = heals(ingest, hook, "lag", "vendors (waiting)", ["are the appliers running?"])
        next(waiting)
        apply = workspace.sluice(configure(workspace, sim, role="apply"), name="apply")
        assert next(waiting, None) is None
        wait_run(ingest, workspace)
        apply.stop()
    with Hook() as hook:
        scene = Tables(sim, workspace, {"account": 50}, ledger_deadline="1s")
        ingest = scene.sluice("tables", role="ingest", alerts=hook.alerts(lag="1s", lag_for="1s"))
        waiting = heals(ingest, hook, "lag", "account (waiting)")
        next(waiting)
        scene.sluice("apply-tables", role="apply")
        assert next(waiting, None) is None


def test_who_does_not_read_any_more_does_not_tell_of_rows_that_wait(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 20, role="ingest",
                       alerts=hook.alerts(lag="1s", lag_for="1s"),
                       feeds={"vendors": feeds.feed(sim, ledger_deadline="1s")})
        wait_told(sluice, hook, "raised", "lag")
        sluice.config["role"] = "apply"
        sluice.write_config()
        sluice.reload()
        sluice.wait_for(lambda: len(logged(sluice, "running")) == 2, 20, "the reload")
        sluice.wait_for(lambda: sluice.ops("/status")[0] == 200, 20, "the status")
        assert ("lag", "vendors (waiting)") not in raised_now(sluice)


def test_rows_that_wait_are_told_over_a_reload(sim, workspace):
    with Hook() as hook:
        scene = Tables(sim, workspace, {"account": 50}, ledger_deadline="10m")
        apply = scene.sluice("apply", role="apply")
        ingest = scene.sluice("ingest", role="ingest", alerts=hook.alerts(
            lag="1s", lag_for="1s", recovered_after="2s"))
        scene.wait_followed()
        apply.signal(signal.SIGSTOP)
        scene.change(count=20)
        waiting = heals(ingest, hook, "lag", "account (waiting)")
        next(waiting)
        ingest.reload()
        ingest.wait_for(lambda: logged(ingest, "reloading"), 20, "the reload")
        time.sleep(6)  # a few looks, and recovered_after
        assert not hook.told("over", "lag")
        apply.signal(signal.SIGCONT)
        assert next(waiting, None) is None


def peer_is_told(sluice, hook, subject, leave, come_back):
    leave()
    alert = heals(sluice, hook, "peer_down", subject)
    next(alert)

    def shown():
        alerts = json.loads(sluice.ops("/status")[1])["alerts"]
        text = next(one["text"] for one in alerts if one["subject"] == subject)  # the newest reason
        said = sluice.command("status").stdout
        return f"peer_down      {subject}, peer is down, since " in said and text[:40] in said
    sluice.wait_for(shown, 20, "the alert in what status says")
    come_back()
    assert next(alert, None) is None
    assert {one["subject"] for one in hook.told("raised")} == {subject}


def test_a_broker_that_is_down_is_told(sim, own_rabbit, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 20, alerts=hook.alerts())
        wait_run(sluice, workspace)
        own_rabbit.settle(*workspace.queues)
        peer_is_told(sluice, hook, "broker", own_rabbit.stop, own_rabbit.start)


def test_a_database_that_is_down_is_told(sim, own_mongo, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 20, alerts=hook.alerts(peer_down="4s"))
        wait_run(sluice, workspace)
        peer_is_told(sluice, hook, "mongo", own_mongo.pause, own_mongo.resume)


def test_a_source_that_is_down_is_told(sim, workspace):
    gate = Gate(int(sim.url.rsplit(":", 1)[1]))
    try:
        with Hook() as hook:
            scene = Tables(sim, workspace, {"account": 20, "contact": 20}, url=gate.url)
            sluice = scene.sluice(alerts=hook.alerts())
            scene.wait_followed()
            peer_is_told(sluice, hook, "source crm", gate.shut, gate.open)
    finally:
        gate.close()


def test_a_service_that_refuses_requests_is_told_as_a_budget_that_is_used_up(sim, workspace):
    with Hook() as hook:
        scene = Tables(sim, workspace, {"account": 20})
        sluice = scene.sluice(alerts=hook.alerts())
        scene.wait_followed()
        # Somebody else spends what the service grants this user.
        scene.switch(dv_limit_requests=1, dv_limit_window_ms=3000)
        alert = heals(sluice, hook, "budget", "crm", ["asked to wait"])
        next(alert)
        scene.switch(dv_limit_requests=200_000)
        assert next(alert, None) is None
        scene.check_nothing_lost()


def test_an_own_budget_that_is_used_up_is_told_until_it_is_larger(sim, workspace):
    with Hook() as hook:
        scene = Tables(sim, workspace, {"account": 20, "contact": 20},
                       source={"budget": {"requests": 30, "window": "4s"}}, max_interval="100ms")
        sluice = scene.sluice(alerts=hook.alerts())
        alert = heals(sluice, hook, "budget", "crm", ["requests", "polled less often"])
        next(alert)
        sluice.config["sources"]["crm"]["budget"]["requests"] = 3000
        sluice.write_config()
        sluice.reload()
        assert next(alert, None) is None
        scene.wait_followed()
        scene.check_nothing_lost()


def test_a_sweep_that_is_refused_is_told_until_one_is_allowed(sim, workspace):
    with Hook() as hook:
        scene = Refreshed(sim, workspace)
        sluice = scene.sluice(alerts=hook.alerts())
        scene.wait_run_done_after(0)
        scene.delete(21)
        assert sluice.command("refresh", "vendors").returncode == 1
        alert = heals(sluice, hook, "sweep_refused", "vendors", ["21 of 200 documents", "--force"])
        next(alert)
        dry = sluice.command("refresh", "vendors", "--dry-run")
        assert dry.returncode == 0 and ("sweep_refused", "vendors") in raised_now(sluice)
        assert sluice.command("refresh", "vendors", "--force").returncode == 0
        assert next(alert, None) is None


# --- how they are told ---


def test_a_webhook_that_fails_is_asked_again_and_a_redirect_is_not_followed(sim, workspace):
    with Hook() as hook, Hook() as elsewhere:
        hook.answers = [503, 500]
        sluice = begin(workspace, sim, 5, alerts=hook.alerts())
        wait_run(sluice, workspace)
        switch(sim, final_status="Failed", fail_next=1)
        change_records(sim, 2)
        wait_told(sluice, hook, "raised", "run_failed", 60)  # 5 s and 10 s or so later
        assert [kind for kind, _ in hook.visits[:3]] == ["POST"] * 3 and len(hook.posts) == 1
        assert not logged(sluice, "alert not sent")

        hook.answers = [(302, {"Location": elsewhere.url()})] * 2
        switch(sim, final_status="Failed", fail_next=1)
        sluice.config["feeds"]["vendors"]["definition_group"] = "Nobody"
        sluice.config["feeds"]["others"] = {**sluice.config["feeds"].pop("vendors"),
                                            "start_grace": "1s"}
        sluice.write_config()
        sluice.reload()
        sluice.wait_for(lambda: logged(sluice, "alert not sent"), 60, "the redirect")
        assert "HTTP status 302" in logged(sluice, "alert not sent")[0]["error"]
        assert not elsewhere.visits and not elsewhere.posts
        assert count(sluice, "run_failed", "failed") >= 1
        assert ("run_failed", "others") in raised_now(sluice)


def test_a_reload_tells_nothing_twice_and_an_end_tells_what_waits(sim, workspace):
    with Mailbox() as mailbox:
        # A reload may cut off the answer to a request.
        sluice = begin(workspace, sim, 5, alerts=mailbox.alerts(),
                       feeds={"vendors": feeds.feed(sim, start_grace="2s")})
        wait_run(sluice, workspace)
        switch(sim, final_status="Failed", fail_next=1)
        change_records(sim, 2)
        # There is no project for full exports: the feed stays suspect, and the alert raised.
        sluice.wait_for(lambda: mailbox.raised, 30, "the mail")
        done = len(runs(workspace, state="done"))
        sluice.reload()
        sluice.wait_for(lambda: logged(sluice, "reloading"), 20, "the reload")
        sluice.wait_for(lambda: len(runs(workspace, state="done")) > done, 30, "a run")
        sluice.wait_for(lambda: raised_now(sluice) == {("run_failed", "vendors")}, 10, "the alert")
        assert len(mailbox.mails) == 1

        sluice.config["alerts"]["group"] = "10m"
        sluice.config["feeds"]["vendors"]["entities"]["Vendors V3"]["key"].append("Nonsense")
        sluice.write_config()
        sluice.reload()
        change_records(sim, 2)
        sluice.wait_for(lambda: ("operator", "vendors") in raised_now(sluice), 30, "an alert")
        assert len(mailbox.mails) == 1
        assert sluice.stop() == 0
        assert "feed needs an operator (vendors)" in mailbox.mails[1]["Subject"]


def told_anew(sluice, hook, kind):
    """What the next process tells of what was raised and is still wrong."""
    wait_told(sluice, hook, "raised", kind)
    assert sluice.stop() == 0
    hook.posts.clear()
    sluice.start(ready_timeout_s=30)
    return wait_told(sluice, hook, "raised", kind)


def test_a_restart_tells_anew_that_changes_may_be_missing(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 5, alerts=hook.alerts())
        wait_run(sluice, workspace)
        switch(sim, final_status="Failed", fail_next=1)
        change_records(sim, 2)
        told = told_anew(sluice, hook, "run_failed")
        assert told["subject"] == "vendors" and told["title"] == "changes may be missing"
        assert "the export failed" in told["text"] and "full_definition_group" in told["text"]
        done = len(runs(workspace, state="done"))
        sluice.wait_for(lambda: len(runs(workspace, state="done")) > done, 30, "a good run")
        assert raised_now(sluice) == {("run_failed", "vendors")}
        assert count(sluice, "run_failed", "suppressed") == 0


def test_a_restart_tells_anew_of_a_sweep_that_was_refused(sim, workspace):
    with Hook() as hook:
        scene = Refreshed(sim, workspace)
        sluice = scene.sluice(alerts=hook.alerts())
        scene.wait_run_done_after(0)
        scene.delete(21)
        assert sluice.command("refresh", "vendors").returncode == 1
        told = told_anew(sluice, hook, "sweep_refused")
        assert told["subject"] == "vendors" and "21 of 200 documents" in told["text"]
        sluice.stop()
    with Hook() as hook:
        scene = Tables(sim, workspace, {"account": 50}, sweep_limit=0)
        sluice = scene.sluice("tables", alerts=hook.alerts())
        scene.wait_followed()
        scene.documents().insert_one({"_id": "ghost", "_sluice": {"v": 7, "feed": "account"}})
        assert sluice.command("refresh", "account").returncode == 1
        told = told_anew(sluice, hook, "sweep_refused")
        assert told["subject"] == "account" and "1 of 51 documents" in told["text"]
        assert sluice.command("refresh", "account", "--force").returncode == 0
        wait_told(sluice, hook, "over", "sweep_refused")


def test_an_end_during_a_reload_tells_what_waits(sim, own_mongo, workspace):
    with Mailbox() as mailbox:
        sluice = begin(workspace, sim, 5, alerts=mailbox.alerts(group="10m"))
        wait_run(sluice, workspace)
        switch(sim, final_status="Failed", fail_next=1)
        change_records(sim, 2)
        sluice.wait_for(lambda: ("run_failed", "vendors") in raised_now(sluice), 30, "the alert")
        own_mongo.pause()  # what is in flight takes its time
        sluice.reload()
        sluice.wait_for(lambda: logged(sluice, "reloading"), 20, "the reload")
        assert sluice.stop() == 0
        own_mongo.resume()
        assert "run failed (vendors)" in mailbox.mails[0]["Subject"]


def test_a_chat_service_is_sent_its_text_alone(sim, workspace):
    with Hook() as hook:
        sluice = begin(workspace, sim, 5, alerts=hook.alerts(webhook={"body": "text"}))
        wait_run(sluice, workspace)
        switch(sim, final_status="Failed", fail_next=1)
        change_records(sim, 2)
        _, _, body = sluice.wait_for(lambda: hook.posts, 30, "a post")[0]
        assert body.keys() == {"text"} and "the export failed" in body["text"]


def test_a_workflow_of_teams_is_sent_a_card(workspace, sim):
    with Hook() as hook:
        config = configure(workspace, sim, alerts=hook.alerts(webhook={"body": "teams"}))
        tested = workspace.sluice(config, start=False).command("alert", "test")
        assert tested.returncode == 0, tested.stderr
        _, _, body = hook.posts[0]
        card = body["attachments"][0]["content"]
        assert body["type"] == "message" and card["type"] == "AdaptiveCard"
        assert card["body"][0]["text"].startswith("sluice: ")


# --- commands ---


def test_alert_test_and_doctor_try_both_targets(sim, workspace, tmp_path):
    authority = Authority(tmp_path)
    certificate = authority.sign("receiver", "/O=a/CN=receiver", "IP:127.0.0.1")
    with Mailbox(tls=certificate, login=("ops", "right")) as mailbox, Hook() as hook:
        alerts = mailbox.alerts(webhook={"url": hook.url()})
        config = feeds.configure(workspace, sim, alerts=alerts, http={"ca_file": str(authority.file)})
        sluice = workspace.sluice(config, start=False)
        tested = sluice.command("alert", "test")
        assert tested.returncode == 0, tested.stdout + tested.stderr
        assert tested.stdout == "ok    mail: it took the message\nok    webhook: it took the message\n"
        assert "Nothing is wrong" in mailbox.mails[0].get_content()
        assert "Nothing is wrong" in hook.posts[0][2]["text"]

        asked = sluice.command("doctor").stdout
        assert "ok    alerts by mail: it answers" in asked
        assert "ok    alerts by webhook: it answers" in asked
        assert len(mailbox.mails) == 1 and len(hook.posts) == 1  # doctor sent nothing

        sluice.config["alerts"]["mail"]["password"] = "wr0ng"
        hook.answers = [403]
        sluice.write_config()
        tested = sluice.command("alert", "test")
        assert tested.returncode == 1
        assert "FAIL  mail: cannot send mail: " in tested.stdout
        assert "FAIL  webhook: the webhook did not take the message: HTTP status 403" in tested.stdout
        doctored = sluice.command("doctor")
        assert doctored.returncode == 1 and "FAIL  alerts by mail: " in doctored.stdout
        for secret in ("k3y", "wr0ng"):
            assert secret not in tested.stdout + tested.stderr + doctored.stdout + doctored.stderr

        sluice.config["alerts"] = {"webhook": {"url": "http://127.0.0.1:9/services/k3y"}}
        sluice.write_config()
        tested = sluice.command("alert", "test")
        assert tested.returncode == 1 and "cannot reach http://127.0.0.1:9: " in tested.stdout
        assert "k3y" not in tested.stdout
        del sluice.config["alerts"]
        sluice.write_config()
        tested = sluice.command("alert", "test")
        assert tested.returncode == 1 and "tells nobody" in tested.stderr


@pytest.mark.parametrize("alerts, words", [
    ({"mail": {"host": "smtp"}}, "alerts.mail.from is not an e-mail address"),
    ({"mail": {"host": "smtp", "from": "a@b.c"}}, "alerts.mail.to names nobody"),
    ({"webhook": {"url": "http://contoso.com/k3y"}}, "alerts.webhook.url must begin with https://"),
    ({"webhook": {"url": "ftp://contoso.com/k3y"}}, "alerts.webhook.url"),
    ({"repeat": "0s"}, "alerts.repeat must be between 1s and 7d"),
    ({"max_per_hour": 61}, "alerts.max_per_hour must be between 1 and 60"),
], ids=["from", "to", "http", "scheme", "repeat", "rate"])
def test_check_finds_what_is_wrong_with_alerts(sim, workspace, alerts, words):
    sluice = workspace.sluice(feeds.configure(workspace, sim, alerts=alerts), start=False)
    checked = sluice.command("check")
    assert checked.returncode == 1 and words in checked.stderr and "k3y" not in checked.stderr
