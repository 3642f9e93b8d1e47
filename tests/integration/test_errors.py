"""What Dynamics 365 can do wrong: each has its own clear message and its own right reaction."""

import contextlib
import time

import pytest

from books import check_all, check_run
from feeds import (add_records, begin, change_records, configure, feed, logged, make_project, runs,
                   trouble, wait_fresh_run, wait_run)
from mailbox import Mailbox
from servers import wait_until
from truth import differences, documents


def switch(sim, **switches):
    sim.post("switches", switches)


def requests(sim, action):
    """{status: count} of what the simulator answered to an action."""
    return sim.get("stats")["requests"].get(action, {})


@contextlib.contextmanager
def no_export(sim):
    """No export begins meanwhile: what is made ready is all there for the next one."""
    switch(sim, http_503_next=-1, retry_after=1)
    wait_until(lambda: not sim.get("stats")["jobs_running"], 20, "the export under way")
    yield
    switch(sim, http_503_next=0)


def suspect(workspace, name="vendors"):
    return (workspace.state["feeds"].find_one({"_id": name}) or {}).get("suspect")


def arrived(sim, workspace):
    return not differences(workspace.db["vendors"], documents(sim))


def complains(sluice, *words):
    return all(word in trouble(sluice) for word in words)


@pytest.fixture(autouse=True)
def nothing_was_told_to_strangers(request):
    """No secret or signature in anything that sluice says, no token at the blob store."""
    sim, workspace = request.getfixturevalue("sim"), request.getfixturevalue("workspace")
    yield
    for sluice in workspace.sluices:
        said = sluice.log_path.read_text()
        if sluice.running():
            said += "".join(sluice.ops(page)[1] for page in ("/status", "/metrics", "/readyz"))
        for secret in (sim.client_secret, "sig=", "eyJ", "Bearer "):
            assert secret not in said
    if sim.running():
        assert sim.get("stats")["bearer_leaked"] == 0


# --- tokens ---


def test_a_bad_secret_shows_its_code_and_is_not_hammered(sim, workspace):
    switch(sim, token_error=7000215)
    began = time.monotonic()
    sluice = begin(workspace, sim, 20)
    sluice.wait_for(lambda: complains(sluice, "AADSTS7000215"), 20, "the code in /readyz")
    assert "AADSTS7000215" in sluice.ops("/status")[1]
    line = logged(sluice, "feed in trouble, will try again")[0]
    assert "AADSTS7000215" in line["error"] and line["feed"] == "vendors"
    before = sum(requests(sim, "token").values())
    wait_until(lambda: sum(requests(sim, "token").values()) > before, 20, "another try")
    # Tries are 1, 2, 4 … s apart: three within the first seconds, never one a turn.
    assert sum(requests(sim, "token").values()) <= 3 + (time.monotonic() - began)
    switch(sim, token_error=0)
    wait_run(sluice, workspace)
    assert arrived(sim, workspace)
    assert [run["state"] for run in runs(workspace)].count("failed") == 0


def test_several_feeds_of_one_source_share_one_token(sim, workspace):
    add_records(sim, 10)
    feeds = {}
    for number in range(5):
        make_project(sim, f"P{number}")
        feeds[f"f{number}"] = feed(sim, f"P{number}", collection=f"c{number}", every="1h")
    sluice = workspace.sluice(configure(workspace, sim, feeds))
    for name in feeds:
        wait_run(sluice, workspace, feed_name=name)
    assert sim.get("stats")["tokens_issued"] == 1


def test_a_token_that_expires_in_mid_run_is_renewed_before(sim, workspace):
    switch(sim, token_seconds=2, export_ms=3000)
    began = time.monotonic()
    sluice = begin(workspace, sim, 30)
    wait_run(sluice, workspace)
    assert arrived(sim, workspace)
    tokens = sim.get("stats")["tokens_issued"]
    # A life of two seconds is told as one, of which four fifths are used.
    assert 2 <= tokens <= 1 + (time.monotonic() - began) / 0.8
    # Renewed early: no call was made with a dead one, but by a machine that stood still in the middle of it;
    # such a run is void.
    refused, before = requests(sim, "GetExecutionSummaryStatus").get("401", 0), 0
    for _ in range(3):
        if refused == before:
            break
        wait_fresh_run(sluice, workspace)
        refused, before = requests(sim, "GetExecutionSummaryStatus").get("401", 0), refused
    assert refused == before


def test_a_revoked_token_is_replaced_at_once(sim, workspace):
    switch(sim, export_ms=5000)  # the token is needed for long after it was revoked
    sluice = begin(workspace, sim, 30)
    sluice.wait_for(lambda: runs(workspace, state="executing"), 20, "the export")
    switch(sim, revoke_tokens=True, export_ms=50)
    run = wait_run(sluice, workspace)
    assert arrived(sim, workspace)
    refused = sum(requests(sim, action).get("401", 0) for action in
                  ("ExportToPackage", "GetExecutionSummaryStatus", "GetExportedPackageUrl"))
    assert refused == 1 and sim.get("stats")["tokens_issued"] == 2
    assert not logged(sluice, "feed in trouble, will try again")
    assert run["attempt"] == 1


def test_a_token_whose_life_is_written_as_text_is_fine(sim, workspace):
    switch(sim, token_string_numbers=True)
    sluice = begin(workspace, sim, 10)
    wait_run(sluice, workspace)
    assert sim.get("stats")["tokens_issued"] == 1


# --- actions ---


@pytest.mark.parametrize("switches, status", [
    ({"http_429_next": 3, "retry_after": 2}, "429"),
    ({"http_503_next": 3, "retry_after": 2}, "503"),
])
def test_a_busy_environment_is_left_alone_as_long_as_it_asks(sim, workspace, switches, status):
    switch(sim, **switches)
    began = time.monotonic()
    sluice = begin(workspace, sim, 20)
    sluice.wait_for(lambda: complains(sluice, "busy", status), 20, "the word in /readyz")
    run = wait_run(sluice, workspace)
    assert time.monotonic() - began >= 6  # three times two seconds
    assert sum(requests(sim, action).get(status, 0)
               for action in ("ExportToPackage", "GetExecutionSummaryStatus")) == 3
    assert run["number"] == 1 and run["error"] == ""
    assert arrived(sim, workspace) and not suspect(workspace)


@pytest.mark.parametrize("count", [1, 4])
def test_errors_500_are_tried_again_and_export_nothing_twice(sim, workspace, count):
    switch(sim, http_500_next=count)
    sluice = begin(workspace, sim, 20, feeds={"vendors": feed(sim, start_grace="1s")})
    run = wait_run(sluice, workspace, number=min(r["number"] for r in wait_until(
        lambda: runs(workspace, state="done"), 40, "a finished run")))
    assert check_run(workspace, run)["read"] == 20
    assert arrived(sim, workspace) and not suspect(workspace)
    assert len([one for one in sim.get("executions")
                if one["rows"] == {"Vendors V3": 20}]) == 1


def test_an_unknown_project_is_told_by_name_and_taken_up_when_it_exists(sim, workspace):
    add_records(sim, 20)
    with Mailbox() as mailbox:
        feeds = {"vendors": feed(sim, start_grace="1s")}
        sluice = workspace.sluice(configure(workspace, sim, feeds, alerts=mailbox.alerts()))
        failed = wait_run(sluice, workspace, state="failed")
        assert "ExportToPackage" in failed["error"] and "Vendors" in failed["error"]
        assert not suspect(workspace)
        sluice.wait_for(lambda: logged(sluice, "run failed"), 20, "the log")
        line = logged(sluice, "run failed")[0]
        assert line["next"] == "it will be started anew"
        wait_until(lambda: mailbox.mails, 10, "a mail")
        assert "vendors" in mailbox.mails[0]["Subject"] + mailbox.mails[0].get_content()
        wait_run(sluice, workspace, 2, state="failed")
        make_project(sim)
        sluice.wait_for(lambda: runs(workspace, state="done"), 30, "a good run")
        assert len(mailbox.raised) == 1
    assert arrived(sim, workspace)


def test_an_execution_that_is_not_known_at_once_is_waited_for(sim, workspace):
    switch(sim, id_unknown_polls=4)
    sluice = begin(workspace, sim, 20)
    run = wait_run(sluice, workspace)
    assert run["number"] == 1 and arrived(sim, workspace)
    assert len(requests(sim, "ExportToPackage")) == 1


def test_a_url_that_stays_empty_for_a_while_is_asked_for_again(sim, workspace):
    switch(sim, url_empty_polls=5)
    sluice = begin(workspace, sim, 20)
    run = wait_run(sluice, workspace)
    assert check_run(workspace, run)["read"] == 20 and arrived(sim, workspace)


@pytest.mark.parametrize("switches", [
    {"nested_value": True}, {"rewrite_execution_id": True}, {"synchronous_export": True},
    {"parallel_fails": True},
], ids=lambda switches: next(iter(switches)))
def test_the_other_ways_an_environment_may_answer_are_fine(sim, workspace, switches):
    switch(sim, **switches)
    sluice = begin(workspace, sim, 50)
    run = wait_run(sluice, workspace)
    assert (run["returned_execution_id"] != run["execution_id"]) == \
        ("rewrite_execution_id" in switches)
    change_records(sim, 10)
    wait_fresh_run(sluice, workspace)
    assert arrived(sim, workspace)
    assert not runs(workspace, state="failed") and check_all(workspace) >= 2


# --- executions that fail ---


def begin_healing(sim, workspace, mailbox=None, count=60, **changes):
    """A finished first run of a feed that has a project for full exports."""
    make_project(sim, "VendorsFull", mode="full")
    feeds = {"vendors": feed(sim, full_definition_group="VendorsFull")}
    if mailbox:
        changes["alerts"] = mailbox.alerts()
    sluice = begin(workspace, sim, count, feeds=feeds, **changes)
    wait_run(sluice, workspace)
    return sluice


@pytest.mark.parametrize("status, words", [
    ("Failed", "the export failed in the environment"),
    ("Canceled", "the export was cancelled in the environment"),
])
def test_a_failed_execution_makes_the_feed_suspect_and_a_full_export_heals_it(
        sim, workspace, status, words):
    with Mailbox() as mailbox:
        sluice = begin_healing(sim, workspace, mailbox)
        switch(sim, project="Vendors", final_status=status, fail_next=1,
               failed_moves_watermark=True)
        change_records(sim, 10)
        failed = sluice.wait_for(lambda: runs(workspace, state="failed"), 30, "the failure")[0]
        assert f"{words}, whose job history tells why (execution {failed['execution_id']})" in failed["error"]
        # What the environment has to say may quote rows.
        assert "See the job's log." not in sluice.log_path.read_text() + failed["error"]
        full = sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full run")
        assert full[0]["number"] == failed["number"] + 1
        assert check_run(workspace, full[0])["read"] == 60
        assert arrived(sim, workspace)
        sluice.wait_for(lambda: not suspect(workspace), 10, "no suspicion")
        wait_until(lambda: mailbox.mails, 10, "a mail")
        text = mailbox.mails[0].get_content()
        assert failed["_id"] in text and words in text and "a full export follows" in text
        # Told once in four hours: the next failure is only counted.
        switch(sim, project="Vendors", final_status=status, fail_next=1)
        sluice.wait_for(lambda: len(runs(workspace, state="failed")) == 2, 30, "another failure")
        sluice.wait_for(lambda: len(runs(workspace, state="done", full=True)) == 2, 30, "healing")
        assert len(mailbox.raised) == 1
    change_records(sim, 5)
    wait_fresh_run(sluice, workspace)
    assert arrived(sim, workspace)


def test_without_a_project_for_full_exports_the_loss_is_told(sim, workspace):
    sluice = begin(workspace, sim, 20)
    wait_run(sluice, workspace)
    switch(sim, final_status="Failed", fail_next=1)
    change_records(sim, 3)
    sluice.wait_for(lambda: logged(sluice, "run failed"), 30, "the failure")
    assert "configure full_definition_group" in logged(sluice, "run failed")[0]["next"]
    assert "the export failed" in suspect(workspace)
    sluice.wait_for(lambda: arrived(sim, workspace), 30, "the next increment, all the same")


def test_a_partly_successful_execution_is_taken_and_a_full_export_follows(sim, workspace):
    with Mailbox() as mailbox:
        sluice = begin_healing(sim, workspace, mailbox)
        with no_export(sim):
            switch(sim, project="Vendors", final_status="PartiallySucceeded", fail_next=1)
            change_records(sim, 30)
        full = sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full run")
        assert arrived(sim, workspace)
        partial = runs(workspace, number=full[0]["number"] - 1)[0]
        assert check_run(workspace, partial)["read"] == 27
        assert "partly successful" in partial["error"]
        wait_until(lambda: mailbox.mails, 10, "a mail")
        assert "partly successful" in mailbox.mails[0]["Subject"]
    sluice.wait_for(lambda: not suspect(workspace), 10, "no suspicion")


def test_a_full_export_with_rows_missing_heals_nothing(sim, workspace):
    with Mailbox() as mailbox:
        sluice = begin_healing(sim, workspace, mailbox)
        switch(sim, project="VendorsFull", final_status="PartiallySucceeded", fail_next=1)
        switch(sim, project="Vendors", final_status="Failed", fail_next=1)
        change_records(sim, 30)
        full = sluice.wait_for(lambda: (runs(workspace, state="done", full=True) + [None, None])[1],
                               30, "a second full run")
        first = runs(workspace, full=True)[0]
        assert first["number"] < full["number"] and "partly successful" in first["error"]
        assert arrived(sim, workspace)
    sluice.wait_for(lambda: not suspect(workspace), 10, "no suspicion")


@pytest.mark.parametrize("status", ["Failed", "PartiallySucceeded"])
def test_increments_go_on_while_full_exports_heal_nothing(sim, workspace, status):
    sluice = begin_healing(sim, workspace)
    switch(sim, project="VendorsFull", final_status=status, fail_next=-1)
    switch(sim, project="Vendors", final_status="Failed", fail_next=1)
    sluice.wait_for(lambda: runs(workspace, full=True), 30, "a full run")
    change_records(sim, 30)
    sluice.wait_for(lambda: arrived(sim, workspace), 30, "the changes, by an increment")
    assert suspect(workspace)
    sluice.wait_for(lambda: len(runs(workspace, full=True)) > 2, 30, "one full run after the other")
    switch(sim, project="VendorsFull", final_status="Succeeded")
    sluice.wait_for(lambda: not suspect(workspace), 60, "healing")


def test_an_execution_that_never_ends_is_given_up_and_healed(sim, workspace):
    make_project(sim, "VendorsFull", mode="full")
    one = feed(sim, full_definition_group="VendorsFull", execution_deadline="5s")
    sluice = begin(workspace, sim, 20, feeds={"vendors": one})
    wait_run(sluice, workspace)
    switch(sim, project="Vendors", export_ms=60000)
    change_records(sim, 5)
    failed = sluice.wait_for(lambda: runs(workspace, state="failed"), 30, "the failure")[0]
    assert "execution_deadline" in failed["error"]
    switch(sim, project="Vendors", export_ms=50)
    sluice.wait_for(lambda: arrived(sim, workspace), 30, "the full export")


# --- packages and their download ---


def test_an_expired_url_is_replaced(sim, workspace):
    switch(sim, sas_expired_next=2)
    sluice = begin(workspace, sim, 50)
    run = wait_run(sluice, workspace)
    assert run["attempt"] == 1 and arrived(sim, workspace)
    assert logged(sluice, "download broke off, will resume")
    assert "expired" in logged(sluice, "download broke off, will resume")[0]["error"]


def test_a_url_that_expires_in_mid_download_is_replaced_and_the_download_resumed(sim, workspace):
    switch(sim, sas_seconds=2, slow_body_bytes_per_s=40000, level=0, truncate_download_at=120000,
           truncate_next=-1)
    sluice = begin(workspace, sim, 600)
    run = wait_run(sluice, workspace)
    assert run["attempt"] == 1 and check_run(workspace, run)["read"] == 600
    assert arrived(sim, workspace)
    assert sum(requests(sim, "GetExportedPackageUrl").values()) >= 2
    told = " ".join(line["error"] for line in logged(sluice, "download broke off, will resume"))
    assert "403" in told and "expired" in told


def test_a_download_that_breaks_off_goes_on_where_it_was(sim, workspace):
    switch(sim, truncate_download_at=150000, truncate_next=-1, level=0)
    sluice = begin(workspace, sim, 1000)
    run = wait_run(sluice, workspace)
    assert run["attempt"] == 1 and check_run(workspace, run)["read"] == 1000
    assert arrived(sim, workspace)
    offsets = [line["offset"] for line in logged(sluice, "download broke off, will resume")]
    # Each break is further on than the one before: nothing is read twice.
    assert offsets == [150000 * (i + 1) for i in range(len(offsets))] and offsets


def test_a_blob_store_without_ranges_is_read_from_the_start(sim, workspace):
    # The first look at the package, and its first reading.
    switch(sim, no_ranges=True, truncate_download_at=30000, truncate_next=2, level=0)
    sluice = begin(workspace, sim, 500)
    run = wait_run(sluice, workspace)
    assert "ignores ranges" in logged(sluice, "package unreadable")[0]["error"]
    assert run["attempt"] >= 2 and check_run(workspace, run)["read"] == 500
    assert arrived(sim, workspace)


def test_a_busy_blob_store_is_asked_again(sim, workspace):
    switch(sim, blob_503_next=3)
    sluice = begin(workspace, sim, 50)
    run = wait_run(sluice, workspace)
    assert run["attempt"] == 1 and arrived(sim, workspace)


def test_a_download_that_stands_still_is_broken_off_and_resumed(sim, workspace):
    make_project(sim)
    add_records(sim, 500)
    switch(sim, slow_body_bytes_per_s=1, level=0)
    config = configure(workspace, sim)
    config["sources"]["fno"]["stall_timeout"] = "1s"
    sluice = workspace.sluice(config)
    sluice.wait_for(lambda: logged(sluice, "download broke off, will resume"), 30, "the stall")
    switch(sim, slow_body_bytes_per_s=0)
    wait_run(sluice, workspace)
    assert arrived(sim, workspace)


@pytest.mark.parametrize("switches, words", [
    ({"truncated_zip_next": 1}, "zip"),
    ({"corrupt_zip_next": 1}, "Vendors V3.csv"),
])
def test_a_broken_zip_is_told_and_no_row_is_lost(sim, workspace, switches, words):
    """The blob itself is broken: every download is, so the run fails and a full export follows."""
    sluice = begin_healing(sim, workspace, count=400)
    switch(sim, project="Vendors", **switches)
    change_records(sim, 200)
    failed = sluice.wait_for(lambda: runs(workspace, state="failed"), 40, "the failure")[0]
    assert words in failed["error"] and failed["attempt"] == 3
    assert len(logged(sluice, "package unreadable")) == 3
    sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full run")
    assert arrived(sim, workspace)
    check_all(workspace)


def test_a_blob_that_is_gone_makes_the_feed_suspect(sim, workspace):
    with Mailbox() as mailbox:
        sluice = begin_healing(sim, workspace, mailbox)
        switch(sim, project="Vendors", blob_gone=True)
        switch(sim, project="VendorsFull", http_503_next=-1, retry_after=1)  # it is suspect until then
        change_records(sim, 10)
        failed = sluice.wait_for(lambda: runs(workspace, state="failed"), 30, "the failure")[0]
        assert "gone" in failed["error"] and "gone" in suspect(workspace)
        switch(sim, project="Vendors", blob_gone=False)
        switch(sim, project="VendorsFull", http_503_next=0)
        full = sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full run")
        assert full[0]["number"] == failed["number"] + 1 and arrived(sim, workspace)
        sluice.wait_for(lambda: not suspect(workspace), 10, "no suspicion")
        wait_until(lambda: mailbox.mails, 10, "a mail")
        assert "a full export follows" in mailbox.mails[0].get_content()


def test_an_export_that_the_environment_forgot_makes_the_feed_suspect_even_after_a_restart(
        sim, workspace):
    make_project(sim, "VendorsFull", mode="full")
    one = feed(sim, full_definition_group="VendorsFull", start_grace="1s")
    sluice = begin(workspace, sim, 40, feeds={"vendors": one})
    wait_run(sluice, workspace)
    switch(sim, project="Vendors", export_ms=60000)
    change_records(sim, 5)
    sluice.wait_for(lambda: runs(workspace, state="executing"), 30, "an export under way")
    sluice.kill()
    sim.restart()  # executions are gone, as after seven days, or a restore
    add_records(sim, 40)
    make_project(sim)
    make_project(sim, "VendorsFull", mode="full")
    sluice.start()
    failed = sluice.wait_for(lambda: runs(workspace, state="failed"), 30, "the failure")[0]
    assert "forgotten" in failed["error"]
    sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full run")
    assert arrived(sim, workspace)


def test_a_full_export_that_heals_deletes_nothing(sim, workspace):
    sluice = begin_healing(sim, workspace)
    sim.post("delete", {"entity": "Vendors V3", "company": "USMF", "count": 2})
    switch(sim, project="Vendors", final_status="Failed", fail_next=1)
    change_records(sim, 5)
    sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full run")
    sluice.wait_for(lambda: not suspect(workspace), 10, "no suspicion")
    wait_fresh_run(sluice, workspace)
    assert workspace.db["vendors"].count_documents({"_sluice.deleted": {"$exists": False}}) == 60


def test_a_plain_http_url_to_another_host_is_refused(sim, workspace):
    switch(sim, url_http=True)
    sluice = begin(workspace, sim, 20)
    sluice.wait_for(lambda: complains(sluice, "https"), 20, "the word in /readyz")
    assert requests(sim, "blob") == {}
    switch(sim, url_http=False)
    sluice.wait_for(lambda: arrived(sim, workspace), 60, "the rows")


def test_a_redirected_download_is_not_followed(sim, workspace):
    with Mailbox() as stranger:  # anything that listens, and keeps what it is told
        port = stranger.settings()["port"]
        switch(sim, redirect_download_to=f"http://127.0.0.1:{port}/elsewhere")
        make_project(sim, "VendorsFull", mode="full")  # for a run that has failed before that is over
        sluice = begin(workspace, sim, 20, feeds={"vendors": feed(sim, full_definition_group="VendorsFull")})
        wait_until(lambda: logged(sluice, "package unreadable"), 20, "the refusal")
        assert "redirects elsewhere" in logged(sluice, "package unreadable")[0]["error"]
        assert stranger.mails == [] and stranger.visits == 0
    switch(sim, redirect_download_to="")
    sluice.wait_for(lambda: arrived(sim, workspace), 60, "the rows")
