"""A clock that was ahead and is put right: what was journaled lies in the future then, and nothing may wait
for that."""

import struct

from feeds import add_records, change_records, configure, make_project, runs, wait_run
from process import build_dir
from programs import SANITIZER_ENV

AHEAD_S = 36000


def test_a_feed_goes_on_when_its_clock_is_put_right(sim, workspace, tmp_path):
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("=q", AHEAD_S))
    add_records(sim, 10)
    make_project(sim)
    sluice = workspace.sluice(configure(workspace, sim), start=False)
    sluice.env.update(LD_PRELOAD=str(build_dir() / "tests/torture/clock_shift.so"), CLOCK_SHIFT_FILE=str(clock),
                      ASAN_OPTIONS=SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0")
    sluice.start()
    wait_run(sluice, workspace, 2)
    with open(clock, "r+b") as file:  # in place: it is mapped
        file.write(struct.pack("=q", 0))
    begun = len(runs(workspace))
    change_records(sim, 5)
    wait_run(sluice, workspace, begun + 2, timeout_s=30)
    sluice.restart(30)
    wait_run(sluice, workspace, len(runs(workspace)) + 2, timeout_s=30)
