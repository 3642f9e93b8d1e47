"""The demo as a newcomer sees it, small: it must end by itself, lose nothing and leave nothing."""

import os
import re
import signal
import subprocess
import sys

import pytest

from servers import ROOT, build_dir, processes_of, wait_until

SUPERSEDED = re.compile(r"([\d,]+) superseded \+")
LAST = re.compile(r"demo: rows=(\d+) applied=(\d+) stale=(\d+) dead=(\d+) lost=(\d+) "
                  r"p99_ms=(\d+) rss_mib=(\d+)")


def demo(tmp_path, *args):
    environment = {**os.environ, "SLUICE_BUILD": str(build_dir()), "TMPDIR": str(tmp_path),
                   "PYTHONPATH": str(ROOT / "tests/integration")}
    return subprocess.Popen([sys.executable, ROOT / "demo/demo.py", *args], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def configured(tmp_path):
    try:
        return any(tmp_path.rglob("*.jsonc"))
    except FileNotFoundError:
        return False  # a folder of its servers that came and went


def test_the_demo_loses_nothing_and_says_so_in_its_last_line(tmp_path):
    process = demo(tmp_path, "--once", "--rows", "1500", "--seconds", "3")
    output, _ = process.communicate(timeout=180)
    match = LAST.fullmatch(output.rstrip().splitlines()[-1])
    assert match, output
    rows, applied, stale, dead, lost, _, _ = map(int, match.groups())
    assert process.returncode == 0, output
    assert rows >= 1500 + 1000 and lost == 0
    superseded = int(SUPERSEDED.search(output)[1].replace(",", ""))
    assert rows == applied + stale + superseded + dead
    assert "Latency of a change in Dataverse" in output  # and changes were seen to arrive
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_leaves_nothing(tmp_path, number):
    process = demo(tmp_path, "--rows", "1500")
    wait_until(lambda: configured(tmp_path), 90, "the demo's configuration")
    process.send_signal(number)
    process.communicate(timeout=90)  # RabbitMQ and MongoDB end in order
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())
    assert not processes_of(tmp_path)
