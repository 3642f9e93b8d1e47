"""The probes that docs/PERFORMANCE.md names are in the program, where bpftrace and perf look for them, and its examples
for bpftrace do what they say."""

import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess

import pytest

from process import Process, ROOT, build_dir, free_port, tail, wait_until

TOKEN = "the-token-of-the-tests"
PAGE = (ROOT / "docs/PERFORMANCE.md").read_text().partition("## Probes")[2]
EXAMPLES = re.findall(r"^    (bpftrace .*?'(?:[^']|\n)*')", PAGE, re.MULTILINE)


def test_the_documented_probes_are_there():
    documented = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    notes = subprocess.run(["readelf", "--notes", pathlib.Path(build_dir()) / "src/sluice"],
                           capture_output=True, text=True, check=True).stdout
    found = set(re.findall(r"Provider: sluice\s+Name: (\w+)", notes))
    assert found == documented == {"seen", "published", "confirmed", "consumed", "written", "booked"}


# --- bpftrace ---

def why_not():
    """A word when bpftrace cannot attach here."""
    if not shutil.which("bpftrace"):
        return "there is no bpftrace"
    if os.geteuid() != 0:
        return "only root may attach"
    tried = subprocess.run(["bpftrace", "-e", "BEGIN { exit(); }"], capture_output=True, text=True, timeout=60)
    return tried.returncode and f"the kernel does not let it: {tried.stderr.strip()[-200:]}"


class Traced:
    """A sluice that takes posted rows, and a bpftrace attached to it."""

    def __init__(self, workspace, tmp_path, script):
        self.port = free_port()
        self.sluice = workspace.sluice(workspace.config(
            sources={"in": {"type": "ingest", "listen": f"127.0.0.1:{self.port}", "token": TOKEN}},
            feeds={"things": {"source": "in", "collection": "things", "key": ["id"], "run_span": "500ms"}}),
            ready_timeout_s=30)
        command = script.replace("$(pidof sluice)", str(self.sluice.pid)).replace(
            "/usr/bin/sluice", str(build_dir() / "src/sluice"))
        self.trace = Process("bpftrace", shlex.split(command), tmp_path / "bpftrace.log")
        self.posted = 0

    def __enter__(self):
        self.trace.spawn()
        self.trace.wait_for(lambda: "Attaching" in self.text(), 60, "bpftrace attaching")
        return self

    def __exit__(self, *_):
        self.trace.kill()

    def text(self):
        return self.trace.log_path.read_text() if self.trace.log_path.exists() else ""

    def post(self):
        """A row; gives how many there were."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        line.request("POST", "/ingest/things", json.dumps({"id": f"t{self.posted}"}),
                     {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        assert line.getresponse().status == 202
        line.close()
        self.posted += 1

    def post_until(self, condition, what):
        """bpftrace does not tell when it has attached: a row now and then, until one was seen."""
        def met():
            self.post()
            return condition()
        self.trace.wait_for(met, 60, what)

    def end(self):
        """What it has printed when it was interrupted."""
        self.trace.signal(signal.SIGINT)
        self.trace.wait(60)
        return self.text()


@pytest.fixture
def may_trace():
    if reason := why_not():
        pytest.skip(reason)


def test_each_probe_fires_with_what_is_documented(may_trace, workspace, tmp_path):
    names = ("seen", "published", "confirmed", "consumed", "written")
    each = " ".join(f'usdt:/usr/bin/sluice:sluice:{name} {{ printf("{name} %s %s %d %d %d %d\\n", '
                    "str(arg0), str(arg1), arg2, arg3, arg4, arg5); }" for name in names)
    script = f"bpftrace -p $(pidof sluice) -e '{each} usdt:/usr/bin/sluice:sluice:booked " \
             "{ printf(\"booked %d\\n\", arg0); }'"
    with Traced(workspace, tmp_path, script) as traced:
        traced.post_until(lambda: "booked" in traced.text(), "a batch that is booked")
        out = traced.end()
    for name in names:
        line = re.search(rf"^{name} things (things-\S+) (\d+) (\d+) (\d+) (\d+)$", out, re.MULTILINE)
        assert line, (name, out)
        assert int(line[3]) >= 1 and int(line[4]) == 0 and int(line[5]) < 60_000, line[0]
    assert re.search(r"^booked [1-9]", out, re.MULTILINE), out


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_page(may_trace, workspace, tmp_path, example):
    assert len(EXAMPLES) == 2
    late = "/arg5 > 5000/"
    script = example.replace(late, "/arg5 >= 0/")  # nothing is that late here
    with Traced(workspace, tmp_path, script) as traced:
        if late in example:
            traced.post_until(lambda: re.search(r"things batch \d+ of things-\S+: \d+ rows, \d+ ms late",
                                                traced.text()), "a line for a batch")
        else:
            for _ in range(20):
                traced.post()
            traced.post_until(lambda: traced.posted > 60, "rows")
            wait_until(lambda: workspace.db["things"].count_documents({}) == traced.posted, 20, "the rows")
            out = traced.end()
            assert "@ms[things]:" in out and "|@" in out, tail(traced.trace.log_path)
