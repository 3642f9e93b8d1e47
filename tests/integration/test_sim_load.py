"""sluice-sim load: the schedule is kept whatever the target does, and latency counts from it."""

import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest

from process import Process, build_dir, free_port, wait_until
from programs import SANITIZER_ENV, SANITIZER_STATUS
from tables import Tables

TOKEN = "the-token-of-the-tests"
# Answers every post at once, with many connections at a time, and prints a line for each.
TARGET = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(sys.argv[2]))
        self.send_header("Content-Length", "0")
        self.end_headers()
        print("a post", flush=True)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
LINE = re.compile(r" *\d+\.\d{3} [01]\.\d{12} +\d+( +\d+\.\d\d)?")


@pytest.fixture
def target(tmp_path, request):
    """A process that answers; it may be stopped."""
    port = free_port()
    process = Process("target", [sys.executable, "-c", TARGET, port, getattr(request, "param", 202)],
                      tmp_path / "target.log")
    process.url = f"http://127.0.0.1:{port}/ingest/orders"
    process.spawn()
    wait_until(lambda: listens(port), 20, "the target")
    yield process
    process.kill()


def listens(port):
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def command(*options):
    return [build_dir() / "src/sluice-sim", "load", *map(str, options)]


def load(*options, timeout_s=120):
    """The finished command."""
    done = subprocess.run(command(*options), capture_output=True, text=True, timeout=timeout_s,
                          env={**os.environ, **SANITIZER_ENV}, stdin=subprocess.DEVNULL)
    assert done.returncode != SANITIZER_STATUS and "Sanitizer" not in done.stderr, done.stderr
    return done


def percentiles(path):
    """[(value, percentile, count)] of HdrHistogram's text, of whose form each line is."""
    lines = path.read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert lines[1] == ""
    assert lines[-3].startswith("#[Mean    = ") and ", StdDeviation   = " in lines[-3]
    assert lines[-2].startswith("#[Max     = ") and ", Total count    = " in lines[-2]
    assert lines[-1].startswith("#[Buckets = ") and ", SubBuckets     = " in lines[-1]
    body = lines[2:-3]
    assert all(LINE.fullmatch(line) for line in body), body
    rows = [(float(value), float(share), int(count))
            for value, share, count in (line.split()[:3] for line in body)]
    assert rows == sorted(rows) and rows[-1][1] == 1 and len(body[-1].split()) == 3
    assert all(len(line.split()) == 4 for line in body[:-1])
    assert float(lines[-2].split("=")[1].split(",")[0]) == rows[-1][0]
    assert int(lines[-2].rstrip("]").split("=")[2]) == rows[-1][2]
    return rows


def test_a_stall_of_the_target_counts_for_every_change_meant_in_it(target, tmp_path):
    """200 a second for 5 s, of which the target stands still for 1.5. With four connections a generator that
    waits would have seen four slow answers."""
    json_path, hgrm_path = tmp_path / "load.json", tmp_path / "load.hgrm"
    running = subprocess.Popen(command("--ingest", target.url, "--rate", 200, "--seconds", 5,
                                       "--connections", 4, "--json", json_path, "--hgrm", hgrm_path),
                               stdout=subprocess.PIPE, text=True)
    wait_until(lambda: "a post" in target.log_tail(), 20, "the load")
    target.sigstop()
    time.sleep(1.5)
    target.sigcont()
    out = running.communicate(timeout=60)[0]
    assert running.returncode == 0, out
    told = json.loads(json_path.read_text())
    answered = told["answered_ms"]
    assert told["changes"] == answered["count"] == told["statuses"]["202"] == 1000
    assert told["errors"] == 0
    assert answered["max"] >= 1400
    # Each of the 300 that were due in the stall waited for what was left of it.
    rows = percentiles(hgrm_path)
    slow = 1000 - max((count for value, _, count in rows if value < 100), default=0)
    assert slow >= 250, rows
    assert answered["p90"] >= 400 and answered["p99"] >= 800, answered
    assert told["late_starts"] >= 100 and told["late_start_max_ms"] >= 800
    assert next(value for value, share, _ in rows if share >= 0.5) == pytest.approx(answered["p50"])
    assert "p99.9" in out and "late starts" in out and "0 errors" in out


@pytest.mark.parametrize("target", [503], indirect=True)
def test_refusals_are_errors_and_no_latencies(target, tmp_path):
    done = load("--ingest", target.url, "--rate", 50, "--seconds", 0.4,
                "--json", tmp_path / "load.json", "--hgrm", tmp_path / "load.hgrm")
    told = json.loads((tmp_path / "load.json").read_text())
    assert done.returncode == 1
    assert (told["errors"], told["statuses"], told["answered_ms"]["count"]) == (20, {"503": 20}, 0)
    assert "20 errors" in done.stdout and "it answered" in done.stdout
    assert "Total count    =            0]" in (tmp_path / "load.hgrm").read_text()


def test_nobody_there(tmp_path):
    url = f"http://127.0.0.1:{free_port()}/ingest/orders"
    done = load("--ingest", url, "--rate", 20, "--seconds", 0.5, "--json", tmp_path / "load.json")
    assert done.returncode == 1 and "10 errors" in done.stdout
    assert json.loads((tmp_path / "load.json").read_text())["statuses"] == {"none": 10}
    assert load("--sim", url, "--mongo", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
                ).returncode == 1


@pytest.mark.parametrize("options, words", [
    ((), "where to"),
    (("--ingest", "http://a/b", "--sim", "http://a"), "where to"),
    (("--ingest", "ftp://a/b"), "want a URL"),
    (("--ingest", "http://a/b", "--tables", 3), "{} in the URL"),
    (("--ingest", "http://a/b", "--tables", 0), "--tables wants a number from 1"),
    (("--ingest", "http://a/b", "--tables", 1.5), "whole"),
    (("--ingest", "http://a/b", "--rate", "fast"), "--rate wants a number"),
    (("--ingest", "http://a/b", "--rate", -1), "--rate wants a number"),
    (("--ingest", "http://a/b", "--rate", "nan"), "--rate wants a number"),
    (("--ingest", "http://a/b", "--rate", 1000000, "--seconds", 604800), "1 to 10,000,000"),
    (("--ingest", "http://a/b", "more"), "options alone"),
    (("--ingest", "http://a/b", "--colour", "red"), "colour"),
    (("--sim", "http://a"), "--mongo URL tells where to look"),
    (("--sim", "http://a", "--mongo", "$NOBODY_HAS_SET_IT"), "a variable that is not set"),
])
def test_what_makes_no_sense_is_refused(options, words):
    done = load(*options)
    assert done.returncode == 2 and words in done.stderr and not done.stdout, done.stderr
    assert "--help lists the options" in done.stderr


def test_files_that_are_not_there(target, tmp_path):
    done = load("--ingest", target.url, "--token-file", tmp_path / "none")
    assert done.returncode == 1 and "no token in" in done.stderr
    done = load("--ingest", target.url, "--rate", 10, "--seconds", 0.1,
                "--json", tmp_path / "no/such/folder.json")
    assert done.returncode == 1 and "cannot write" in done.stderr


def test_posted_rows_until_they_can_be_read(workspace, tmp_path):
    port = free_port()
    feed = {"source": "in", "key": ["number_of_load"], "run_span": "500ms"}
    workspace.sluice(workspace.config(
        sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{port}", "token": TOKEN}},
        feeds={f"orders{at}": {**feed, "collection": f"orders{at}"} for at in range(2)}),
        ready_timeout_s=30)
    (tmp_path / "token").write_text(TOKEN + "\n")
    done = load("--ingest", f"http://127.0.0.1:{port}/ingest/orders{{}}", "--tables", 2, "--rate", 40,
                "--seconds", 2, "--token-file", tmp_path / "token", "--key", "number_of_load",
                "--mongo", workspace.mongo.url, "--database", workspace.db.name,
                "--json", tmp_path / "load.json", "--hgrm", tmp_path / "load.hgrm")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "load.json").read_text())
    assert told["answered_ms"]["count"] == told["in_mongodb_ms"]["count"] == 80
    assert told["not_seen"] == 0 and told["errors"] == 0
    assert told["in_mongodb_ms"]["p50"] > 0
    assert [workspace.db[f"orders{at}"].count_documents({}) for at in range(2)] == [40, 40]
    assert percentiles(tmp_path / "load.hgrm")[-1][0] == pytest.approx(told["in_mongodb_ms"]["max"])


def test_changes_of_simulated_tables_until_they_can_be_read(sim, workspace, tmp_path, monkeypatch):
    scene = Tables(sim, workspace, {"t000": 20, "t001": 20})
    scene.sluice()
    scene.wait_followed()
    monkeypatch.setenv("MONGO_URL", workspace.mongo.url)
    done = load("--sim", sim.url, "--tables", 2, "--rows", 20, "--rate", 30, "--seconds", 2,
                "--mongo", "$MONGO_URL", "--database", workspace.db.name,
                "--json", tmp_path / "load.json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "load.json").read_text())
    assert told["in_mongodb_ms"]["count"] == 60 and told["not_seen"] == 0
    assert told["answered_ms"]["max"] < told["in_mongodb_ms"]["max"]
    scene.check_nothing_lost()


def test_a_change_that_never_comes_is_told(target, workspace, tmp_path):
    """It answers, and nothing reaches MongoDB."""
    done = load("--ingest", target.url, "--rate", 20, "--seconds", 0.5, "--timeout", 1,
                "--mongo", workspace.mongo.url, "--database", workspace.db.name,
                "--json", tmp_path / "load.json")
    assert done.returncode == 1 and "10 changes were not seen in MongoDB" in done.stdout
    told = json.loads((tmp_path / "load.json").read_text())
    assert (told["answered_ms"]["count"], told["in_mongodb_ms"]["count"], told["not_seen"]) == (10, 0, 10)
