"""Configuration and commands of a running sluice: mistakes, corrections, reloads, refusals, logs."""

import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

import pytest

from books import check_all, check_run, letters
from certificates import Authority
from feeds import (CUSTOMERS, add_records, begin, change_records, configure, feed, logged,
                   make_project, runs, trouble, wait_fresh_run, wait_run)
from hooks import Hooks
from mailbox import Mailbox
from process import free_port
from programs import SANITIZER_ENV
from servers import build_dir, wait_until
from truth import differences, documents


def command(*args, **env):
    return subprocess.run([build_dir() / "src/sluice", *map(str, args)], text=True,
                          env={**os.environ, **SANITIZER_ENV, **env}, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=30)


def refused(sluice, timeout_s=20):
    """Waits for the end of a sluice that must not start; gives its status and what it said.

    Five seconds are what it may take; the rest is for a busy machine with sanitizers. One that does not
    see that it must end would try for ever.
    """
    return sluice.wait(timeout_s), sluice.log_path.read_text()


# --- mistakes that only the data show ---


@pytest.mark.parametrize("spoil, correct, word", [
    (lambda one: one["key"].append("Nonsense"), lambda one: one["key"].pop(), "a key"),
    (lambda one: one["types"].update(Nonsense="int"), lambda one: one["types"].pop("Nonsense"),
     "a typed column"),
], ids=["key", "types"])
@pytest.mark.parametrize("by", ["restart", "reload"])
def test_a_column_that_does_not_exist_is_told_and_nothing_is_lost(
        sim, workspace, spoil, correct, word, by):
    add_records(sim, 100)
    make_project(sim)
    with Mailbox() as mailbox:
        config = configure(workspace, sim, alerts=mailbox.alerts())
        spoil(config["feeds"]["vendors"]["entities"]["Vendors V3"])
        sluice = workspace.sluice(config)
        sluice.wait_for(lambda: "Nonsense" in trouble(sluice), 20, "the column in /readyz")
        said = trouble(sluice)
        assert "'Vendors V3.csv' has no column 'Nonsense'" in said and f"as {word}" in said
        wait_until(lambda: mailbox.mails, 10, "a mail to the operator")
        assert "Nonsense" in mailbox.mails[0].get_content()
        assert workspace.db["vendors"].count_documents({}) == 0 and letters(workspace) == []

        change_records(sim, 10)
        correct(sluice.config["feeds"]["vendors"]["entities"]["Vendors V3"])
        sluice.write_config()
        if by == "restart":
            assert sluice.restart() == 0
        else:
            sluice.reload()
        run = wait_run(sluice, workspace)
        assert len(mailbox.raised) == 1
    # The same execution: what the environment had handed out once was not asked for again.
    assert run["number"] == 1 and check_run(workspace, run)["read"] == 100
    wait_fresh_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    assert not runs(workspace, state="failed")


def test_an_entity_that_the_package_lacks_brings_nothing_and_stops_nobody(sim, workspace):
    add_records(sim, 30)
    make_project(sim)
    one = feed(sim)
    one["entities"]["Ghosts"] = {"collection": "ghosts", "key": ["dataAreaId"]}
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": one}))
    run = wait_run(sluice, workspace)
    assert {entity["name"]: entity["read"] for entity in run["entities"]} == \
        {"VendorsV3": 30, "Ghosts": 0}
    assert differences(workspace.db["vendors"], documents(sim)) == []


# --- refusals to start ---


def test_a_wrong_queue_type_is_told_with_the_setting_that_helps(sim, workspace):
    make_project(sim)
    first = workspace.sluice(configure(workspace, sim), ready_timeout_s=30)
    assert first.stop() == 0
    second = workspace.sluice(configure(workspace, sim, broker={"queue_type": "classic"}))
    status, said = refused(second)
    assert status == 1
    assert f"queue '{workspace.exchange}." in said
    assert 'set broker.queue_type: \\"quorum\\"' in said or 'set broker.queue_type: "quorum"' in said


def test_a_queue_with_other_arguments_is_told(sim, workspace):
    make_project(sim)
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_declare(
            f"{workspace.exchange}.bulk", durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": 7})
    status, said = refused(workspace.sluice(configure(workspace, sim)))
    assert status == 1 and f"queue '{workspace.exchange}.bulk' exists with other arguments" in said


def test_a_queue_that_another_version_of_rabbitmq_made_is_taken_with_what_is_in_it(sim, workspace):
    """From 4.0 sluice asks for queues without a limit of deliveries, before it does not. There is one
    RabbitMQ here: the queue is made as the other kind would have it."""
    make_project(sim)
    newer = workspace.rabbit.version() >= (4,)
    arguments = {"x-queue-type": "quorum", **({} if newer else {"x-delivery-limit": -1})}
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_declare(f"{workspace.exchange}.unreadable", durable=True, arguments=arguments)
        connection.channel().queue_declare(f"{workspace.exchange}.bulk", durable=True, arguments={
            **arguments, "x-dead-letter-exchange": f"{workspace.exchange}.unreadable"})
    sluice = workspace.sluice(configure(workspace, sim), ready_timeout_s=30)
    wait_run(sluice, workspace)
    told = logged(sluice, "queue was made by another version of RabbitMQ: a message that comes back often, "
                  "while MongoDB is away say, leaves it for the queue of the unreadable; when it is empty, "
                  "delete it, and it is made anew")
    assert [one["queue"] for one in told] == [f"{workspace.exchange}.bulk"]
    told = logged(sluice, "queue was made by another version of RabbitMQ, and drops a message that comes back "
                  "often: sluice dead makes it anew before that; when the queue is empty, delete it, and it is "
                  "made anew")
    assert [one["queue"] for one in told] == [f"{workspace.exchange}.unreadable"]


def test_a_wrong_password_of_the_broker_is_told_without_showing_it(sim, workspace):
    make_project(sim)
    url = workspace.rabbit.url.replace("guest:guest", "guest:hunter2-wrong")
    sluice = workspace.sluice(configure(workspace, sim, broker={"url": url}))
    wait_until(lambda: "refused" in sluice.log_path.read_text().lower(), 15, "the refusal")
    assert "hunter2-wrong" not in sluice.log_path.read_text()


def test_a_taken_ops_port_is_told(sim, workspace):
    make_project(sim)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        status, said = refused(workspace.sluice(configure(workspace, sim, ops={"listen": listen})))
    assert status == 1 and listen in said and "ops.listen" in said


def test_a_bad_configuration_ends_the_start_with_its_place(sim, workspace):
    make_project(sim)
    sluice = workspace.sluice(configure(workspace, sim, broker={"queue_typ": "quorum"}),
                              start=False)
    sluice.start()
    status, said = refused(sluice)
    assert status == 1
    text = sluice.config_path.read_text()
    line = text[:text.index('"queue_typ"')].count("\n") + 1
    column = len(text[:text.index('"queue_typ"')].rsplit("\n", 1)[1]) + 1
    assert re.search(rf"sluice\.jsonc:{line}:{column}: unknown key .*queue_typ.*queue_type", said)


def test_as_many_descriptors_are_used_as_the_system_allows(sim, workspace):
    sluice = workspace.sluice(configure(workspace, sim), start=False)
    sluice.args = ["prlimit", "--nofile=256:4096", *sluice.args]
    sluice.start(30)
    assert sluice.metrics().value("process_max_fds") == 4096


# --- reload ---


def test_a_reload_takes_up_a_new_feed_and_keeps_the_old_ones_going(sim, workspace):
    sluice = begin(workspace, sim, 40)
    wait_run(sluice, workspace)
    add_records(sim, 25, CUSTOMERS)
    make_project(sim, "Customers", [CUSTOMERS])
    sluice.config["feeds"]["customers"] = feed(sim, "Customers", CUSTOMERS, "customers")
    sluice.write_config()
    pid, began = sluice.pid, time.time() - json.loads(sluice.ops("/status")[1])["uptime_s"]
    time.sleep(3)
    sluice.reload()
    wait_run(sluice, workspace, feed_name="customers")
    assert time.time() - json.loads(sluice.ops("/status")[1])["uptime_s"] - began < 2  # of the process
    assert differences(workspace.db["customers"], documents(sim, CUSTOMERS)) == []
    change_records(sim, 7)
    wait_fresh_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    assert sluice.pid == pid and sluice.running() and check_all(workspace) >= 3


def test_a_reload_ends_the_gauges_of_what_is_gone(sim, workspace):
    sluice = begin(workspace, sim, 40)
    wait_run(sluice, workspace)
    rows = sluice.metrics().value("sluice_rows_total", feed="vendors", stage="applied")
    fresh = "sluice_feed_fresh_timestamp_seconds{"
    assert rows == 40
    sluice.wait_for(lambda: fresh in sluice.ops("/metrics")[1], 10, "how fresh it is")
    sluice.config["feeds"] = {"others": {**sluice.config["feeds"]["vendors"], "every": "1h"}}
    sluice.write_config()
    sluice.reload()
    sluice.wait_for(lambda: len(logged(sluice, "running")) == 2, 20, "the reload")
    assert f'{fresh}feed="vendors"' not in sluice.ops("/metrics")[1]
    assert sluice.metrics().value("sluice_rows_total", feed="vendors", stage="applied") == rows


def test_a_bad_reload_is_told_and_changes_nothing(sim, workspace):
    sluice = begin(workspace, sim, 40)
    wait_run(sluice, workspace)
    good = sluice.config_path.read_text()
    sluice.config_path.write_text(good.replace('"every"', '"evry"'))
    sluice.reload()
    sluice.wait_for(lambda: logged(sluice, "configuration not reloaded: it has the problems above"),
                    10, "the refusal")
    assert 'did you mean \\"every\\"' in sluice.log_path.read_text() or \
        'did you mean "every"' in sluice.log_path.read_text()
    change_records(sim, 7)
    wait_fresh_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    assert not logged(sluice, "reloading")


def refuse_reload(sluice, message, *words):
    """A reload is refused, with that log line and those words; everything goes on."""
    count, before = len(logged(sluice, message)), len(sluice.log_path.read_text())
    sluice.write_config()
    sluice.reload()
    sluice.wait_for(lambda: len(logged(sluice, message)) > count, 20, "the refusal")
    text = sluice.log_path.read_text()[before:]
    assert all(word in text for word in words), text


def spoil_hook_certificate(config, authority, tmp_path):
    (tmp_path / "half.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    config["sources"]["in"]["tls"]["certificate"] = str(tmp_path / "half.pem")
    return "sources.in.tls: cannot use the certificate", "half.pem"


def exchange_hook_key(config, authority, tmp_path):
    other = authority.sign("other", "/O=a/CN=other", "IP:127.0.0.1")
    config["sources"]["in"]["tls"]["key"] = str(other.key)
    return "sources.in.tls: the key", "does not belong to the certificate"


def lose_broker_ca(config, authority, tmp_path):
    config["broker"].update(url="amqps://127.0.0.1/", tls={"ca_file": str(tmp_path / "gone.pem")})
    return "broker.tls: cannot use CA file", "gone.pem", "No such file"


def lose_mongo_ca(config, authority, tmp_path):
    config["mongo"]["url"] += f"&tls=true&tlsCAFile={tmp_path}/gone.pem"
    return "mongo.url: cannot use CA file", "gone.pem"


def lose_http_ca(config, authority, tmp_path):
    config["http"] = {"ca_file": str(tmp_path / "gone.pem")}
    return "http.ca_file: cannot read certificates", "gone.pem"


@pytest.mark.parametrize("spoil", [spoil_hook_certificate, exchange_hook_key, lose_broker_ca,
                                   lose_mongo_ca, lose_http_ca])
def test_a_reload_with_a_broken_tls_file_changes_nothing_and_check_says_the_same(
        sim, workspace, tmp_path, spoil):
    authority = Authority(tmp_path)
    one = authority.sign("hook", "/O=a/CN=hook", "IP:127.0.0.1")
    config = workspace.config(
        sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{free_port()}", "token": "t",
                        "tls": {"certificate": str(one.certificate), "key": str(one.key)}}},
        feeds={"things": {"source": "in", "collection": "things", "key": "id"}})
    sluice = workspace.sluice(config, ready_timeout_s=30)
    words = spoil(sluice.config, authority, tmp_path)
    refuse_reload(sluice, "configuration not reloaded: it has the problems above", *words)
    assert sluice.ready() and not logged(sluice, "reloading")
    checked = command("check", "-c", sluice.config_path)
    assert checked.returncode == 1 and re.match(r".*\.jsonc:\d+:\d+: ", checked.stderr)
    assert all(word in checked.stderr for word in words)


def test_a_process_that_only_applies_needs_no_certificate_of_listeners(workspace):
    config = workspace.config(
        sources={"in": {"type": "ingest", "listen": "127.0.0.1:1", "token": "t",
                        "tls": {"certificate": "/nowhere.pem", "key": "/nowhere.key"}}},
        feeds={"things": {"source": "in", "collection": "things", "key": "id"}}, role="apply")
    sluice = workspace.sluice(config, ready_timeout_s=30)
    assert command("check", "-c", sluice.config_path).returncode == 0
    assert command("check", "-c", sluice.config_path, "--role", "ingest").returncode == 1


def test_a_reload_onto_a_taken_port_changes_nothing(sim, workspace):
    sluice = begin(workspace, sim, 40)
    wait_run(sluice, workspace)
    address = sluice.config["ops"]["listen"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sluice.config["ops"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        refuse_reload(sluice, "configuration not reloaded", str(taken.getsockname()[1]))
    sluice.config["ops"]["listen"] = address
    sluice.wait_ready()
    assert not logged(sluice, "reloading")


def test_a_reload_that_only_the_broker_refuses_goes_back_to_the_old_configuration(sim, workspace):
    sluice = begin(workspace, sim, 40)
    wait_run(sluice, workspace)
    pid, old = sluice.pid, sluice.config["broker"]["url"]
    sluice.config["broker"]["url"] = re.sub("//[^@/]*@", "//nobody:secret-word@", old)
    assert "nobody" in sluice.config["broker"]["url"]
    refuse_reload(sluice, "cannot start as configured anew, going back", "login of user 'nobody'")
    sluice.wait_ready()
    change_records(sim, 7)
    wait_fresh_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    assert sluice.pid == pid and "secret-word" not in sluice.log_path.read_text()


def minds(sluice, number):
    """Whether the process holds the signal back or catches it, instead of dying of it."""
    status = pathlib.Path(f"/proc/{sluice.pid}/status").read_text()
    masks = [int(mask, 16) for mask in re.findall(r"^Sig(?:Blk|Cgt):\s*(\w+)", status, re.M)]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_a_reload_asked_for_while_sluice_starts_does_not_end_it(sim, workspace):
    make_project(sim)
    sluice = workspace.sluice(configure(workspace, sim), start=False)
    sluice.start()
    wait_until(lambda: minds(sluice, signal.SIGHUP), 10, "the program's own beginning", every_s=0.001)
    sluice.reload()
    sluice.wait_for(lambda: logged(sluice, "reloading"), 20, "the reload")
    sluice.wait_ready()


def test_reloads_in_mid_run_lose_nothing(sim, workspace):
    add_records(sim, 1500)
    make_project(sim)
    sim.post("switches", {"slow_body_bytes_per_s": 50000, "level": 0})
    sluice = workspace.sluice(configure(workspace, sim))
    sluice.wait_for(lambda: runs(workspace, state="streaming"), 30, "the download")
    for count in range(1, 4):
        sluice.reload()
        sluice.wait_for(lambda: len(logged(sluice, "running")) > count, 20, f"reload {count}")
    sim.post("switches", {"slow_body_bytes_per_s": 0})
    run = wait_run(sluice, workspace)
    assert run["number"] == 1 and check_run(workspace, run)["read"] == 1500
    assert differences(workspace.db["vendors"], documents(sim)) == []


def test_reloads_at_any_moment_leave_no_lease_behind(sim, workspace):
    """A lease asked for and not answered would keep the next life waiting until it expires."""
    make_project(sim)
    add_records(sim, 20)
    feeds = {"vendors": feed(sim, start_grace="1s")}
    sluice = workspace.sluice(configure(workspace, sim, feeds), ready_timeout_s=30)
    pause = random.Random(7)
    for count in range(1, 31):
        time.sleep(pause.uniform(0, 0.02))  # the moment is what varies, nothing is waited for
        sluice.reload()
        wait_until(lambda: len(logged(sluice, "running")) > count, 20, "a reload", every_s=0.003)
    wait_fresh_run(sluice, workspace, timeout_s=15)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    alive = workspace.state["members"].count_documents({"$expr": {"$gt": ["$expires_at", "$$NOW"]}})
    # An end waits for a second to be written down; what MongoDB is too busy for then expires by itself.
    assert alive <= 3, "those that ended are still counted as processes that share feeds"


# --- what it shows ---


def test_status_shows_what_the_feeds_do(sim, workspace):
    sluice = begin(workspace, sim, 40)
    wait_run(sluice, workspace)
    sluice.wait_ready(20)
    shown = command("status", "-c", sluice.config_path)
    asked = command("status", "-c", sluice.config_path, "--json")
    assert shown.returncode == asked.returncode == 0, shown.stderr + asked.stderr
    status = json.loads(asked.stdout)
    assert status["ready"] is True and status["pid"] == sluice.pid and status["trouble"] == []
    rows = status["feeds"]["vendors"]["rows"]
    assert rows["read"] == rows["published"] == rows["consumed"] == rows["applied"] == 40
    assert rows["stale"] == rows["superseded"] == rows["dead"] == 0
    assert status["feeds"]["vendors"]["state"]["run"].startswith("vendors-0000")
    assert re.search(r"^vendors +40 +40 +40 +40 +0 +0 +0$", shown.stdout, re.MULTILINE)


def test_status_shows_each_stage_since_the_start_and_in_the_last_minute(sim, workspace):
    sluice = begin(workspace, sim, 40)
    wait_run(sluice, workspace)
    shown = command("status", "-c", sluice.config_path, "--latency").stdout
    assert "p99.9 ms" in shown and "process" not in shown
    lines = shown.partition("packages and full reads")[2].splitlines()
    for stage in ("published", "confirmed", "consumed", "written"):
        place = next(i for i, line in enumerate(lines) if line.startswith(stage))
        for line in lines[place:place + 2]:
            count, *times = re.findall(r" (\S+)", line[40:])
            p50, p99, p999, most = map(float, times)
            assert count == "40" and 0 <= p50 <= p99 <= p999 <= most
        assert "in the last minute" in lines[place + 1]


def test_status_shows_what_live_sources_do(sim, workspace):
    sim.post("dv/table", {"table": "account", "count": 3})
    listen = f"127.0.0.1:{free_port()}"
    sluice = workspace.sluice(workspace.config(
        sim,
        sources={"crm": {"type": "dataverse", "url": sim.url, "auth": sim.auth()},
                 "hook": {"type": "webhook", "listen": listen, "doorbell": "crm",
                          "secret": {"header": "x-sluice-key", "value": "the-secret"}},
                 "in": {"type": "ingest", "listen": listen, "token": "the-token"}},
        feeds={"accounts": {"source": "crm", "table": "account", "collection": "accounts"},
               "orders": {"source": "in", "collection": "orders", "key": "id"}}))
    wait_until(lambda: workspace.db["accounts"].count_documents({}) == 3, 30, "the accounts")
    patterns = [r"^accounts +following +polls [1-9]\d*, bells 0, every 3000 ms$",
                r"^orders +taking posts +posts accepted 0, refused 0, put off 0$",
                r"^crm +requests [1-9]\d* of 4800 in the window, waiting 0$",
                r"^hook +bells 0, passed on 0, read back at once 0, queued for that 0$"]
    for pattern in patterns:
        sluice.wait_for(lambda: re.search(pattern, command("status", "-c", sluice.config_path).stdout,
                                          re.MULTILINE), 20, f"{pattern} in the status")


def test_check_agrees_with_run_about_this_configuration(sim, workspace):
    make_project(sim)
    sluice = workspace.sluice(configure(workspace, sim), ready_timeout_s=30)
    result = command("check", "-c", sluice.config_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "ok: 1 source, 1 feed, 1 entity" in result.stdout


def check_counters_at_zero(sluice, feeds):
    for name in feeds:
        for stage in ("read", "published", "superseded", "consumed", "applied", "stale", "dead"):
            assert sluice.metrics().value("sluice_rows_total", feed=name, stage=stage) == 0


def test_counters_of_every_feed_are_there_before_the_first_row(sim, workspace):
    sluice = Hooks(sim, workspace, {"account": 0}, {"new_visit": 0}).sluice()
    check_counters_at_zero(sluice, ["account", "new_visit"])
    assert not sluice.metrics().all("sluice_runs_total"), "those of packages alone"
    unreadable = sluice.metrics().all("sluice_unreadable_messages_total")
    assert sorted(has["queue"].split(".", 1)[1] for has, number in unreadable if not number) == \
        ["bulk", "events.hook", "fast"]


def test_metrics_count_every_stage_of_a_row(sim, workspace):
    sluice = begin(workspace, sim, 500)
    wait_run(sluice, workspace)  # MongoDB has it a moment before the process counts it
    sluice.wait_for(lambda: sluice.metrics().get("sluice_runs_total", feed="vendors", end="done"), 20,
                    "the run being counted")
    metrics = sluice.metrics()
    for stage in ("read", "published", "consumed", "applied"):
        assert metrics.value("sluice_rows_total", feed="vendors", stage=stage) == 500, stage
    assert metrics.value("sluice_runs_total", feed="vendors", end="done") >= 1
    assert metrics.value("sluice_published_messages_total") >= 1
    assert metrics.value("sluice_published_bytes_total") > 100000
    assert metrics.get("sluice_credit_used_bytes") == 0
    assert metrics.value("process_resident_memory_bytes") > 1 << 20
    sluice.wait_for(lambda: (sluice.metrics().quantile("sluice_loop_delay_seconds", 0.5) or 1) < 0.1, 20,
                    "a loop that is in time, mostly")
    latency = [name for name, _, _ in metrics.samples if name.endswith("_seconds_count")]
    assert len(set(latency)) >= 3


def test_every_line_of_the_log_is_json_with_time_level_and_message(sim, workspace):
    switches = {"http_500_next": 1, "bad_rows": {"untypable": 2}}
    sim.post("switches", switches)
    feeds = {"vendors": feed(sim, start_grace="1s")}
    sluice = begin(workspace, sim, 100, feeds=feeds, log={"level": "debug", "form": "json"})
    wait_until(lambda: runs(workspace, state="done"), 60, "a run")
    assert sluice.stop() == 0
    lines = [line for line in sluice.log_path.read_text().splitlines()
             if "ASan doesn't fully support makecontext" not in line]
    assert len(lines) > 5
    for line in map(json.loads, lines):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
        assert line["level"] in ("debug", "info", "warn", "error") and line["msg"]
    assert logged(sluice, "ended in order")


def test_secrets_appear_nowhere(sim, workspace):
    """In no log, page, journal, ledger, dead letter or message: neither secret, token nor sig."""
    switches = {"sas_expired_next": 1, "blob_503_next": 1, "bad_rows": {"untypable": 3}}
    sim.post("switches", switches)
    config = configure(workspace, sim, log={"level": "debug"})
    config["broker"]["url"] = config["broker"]["url"].replace("guest:guest", "${BROKER_LOGIN}")
    config["sources"]["fno"]["auth"]["client_secret"] = "${FNO_SECRET}"
    add_records(sim, 100)
    make_project(sim)
    sluice = workspace.sluice(config, start=False)
    sluice.env |= {"FNO_SECRET": sim.client_secret, "BROKER_LOGIN": "guest:guest"}
    sluice.start()
    wait_run(sluice, workspace)
    pages = [sluice.ops(page)[1] for page in ("/status", "/metrics", "/readyz", "/healthz")]
    stored = [repr(document) for name in workspace.state.list_collection_names()
              for document in workspace.state[name].find()]
    for text in [sluice.log_path.read_text(), *pages, *stored]:
        for secret in (sim.client_secret, "guest:guest", "sig=", "Bearer ", "eyJ"):
            assert secret not in text
    assert len(stored) > 5


# --- schedules ---


def test_every_counts_from_start_to_start(sim, workspace):
    sim.post("switches", {"export_ms": 600})
    sluice = begin(workspace, sim, 10)
    wait_run(sluice, workspace, 4)

    def gaps():
        starts = [run["created_at"] for run in runs(workspace)]
        return [(later - earlier).total_seconds() for earlier, later in zip(starts, starts[1:])]
    # Counted from the ends, the gaps could not be below 1.6 s; a busy machine makes others longer.
    sluice.wait_for(lambda: min(gaps()) < 1.5, 20, "a run that was due before the last one's end and a second")
    assert all(gap >= 0.99 for gap in gaps()), gaps()


def test_a_schedule_that_is_not_due_exports_nothing(sim, workspace):
    make_project(sim)
    minute = (time.gmtime().tm_min + 30) % 60
    one = feed(sim, cron=f"{minute} * * * *")
    del one["every"]
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": one}), ready_timeout_s=30)

    def waiting():
        state = json.loads(sluice.ops("/status")[1])["feeds"]["vendors"]["state"]
        return state["next_run"] and state
    state = sluice.wait_for(waiting, 20, "the feed's next run")
    assert re.fullmatch(rf"\d+-\d\d-\d\dT\d\d:{minute:02}:00\.000Z", state["next_run"])
    assert state["state"] == "waiting" and sim.get("executions") == []
    check_counters_at_zero(sluice, ["vendors"])
    for end in ("done", "failed"):
        assert sluice.metrics().value("sluice_runs_total", feed="vendors", end=end) == 0
    sluice.signal(signal.SIGTERM)
    assert sluice.wait(10) == 0
