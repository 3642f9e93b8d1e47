"""The live display: rows, rate and lag of every stage, from sluice's own /status."""

import collections
import json
import time

STAGES = (("read", "read from Dynamics 365"),
          ("published", "confirmed by RabbitMQ"),
          ("consumed", "taken from RabbitMQ"),
          ("applied", "in MongoDB"))
ENDED = ("applied", "stale", "superseded", "dead")
RATE_S = 2.0       # a rate is the mean of so long
LIVE_S = 0.2       # between two pictures
PLAIN_S = 2.0      # between two plain lines
HISTORY_S = 120
BAR = 40


class Progress:
    """Samples sluice and draws. step() is one sample; it also waits until the next is due."""

    def __init__(self, sluice, terminal, rows):
        self.sluice, self.terminal, self.rows = sluice, terminal, rows
        self.title = self.phase = ""  # of the live display, of the plain lines
        self.notes = []   # below the live display
        self.remark = ""  # behind each plain line
        self.read = {}    # by feed: rows read, as of the last sample
        self.started = time.monotonic()
        self.history = collections.deque()  # (time, {stage: rows})
        self._cpu = (self.started, sluice.cpu_s())
        self._cpu_percent = 0.0
        self._next_plain = 0.0

    def step(self):
        status = self._status()
        if status:
            self._remember(rows_of(status))
            self.read = {name: feed["rows"]["read"] for name, feed in status["feeds"].items()}
            self._show(status)
        time.sleep(LIVE_S)

    def elapsed_s(self):
        """Since sluice was started."""
        return time.monotonic() - self.started

    def newest(self):
        """{stage: rows} of the last sample, or nothing yet."""
        return self.history[-1][1] if self.history else {}

    def settle(self):
        if self.terminal.live:
            self.terminal.settle()
        elif self.history:
            self.terminal.line(self._plain_line(self.history[-1][1]))

    def _status(self):
        try:
            code, text = self.sluice.ops("/status", timeout_s=5)
        except OSError:
            return None  # busy or gone; the caller finds out which
        status = json.loads(text) if code == 200 else {}
        return status if "feeds" in status else None  # it has just begun

    def _remember(self, rows):
        now = time.monotonic()
        self.history.append((now, rows))
        while self.history[0][0] < now - HISTORY_S:
            self.history.popleft()
        if now - self._cpu[0] >= 1:
            used = self.sluice.cpu_s()
            self._cpu_percent = 100 * (used - self._cpu[1]) / (now - self._cpu[0])
            self._cpu = (now, used)

    def _show(self, status):
        rows = self.history[-1][1]
        if self.terminal.live:
            self.terminal.draw(self._block(status, rows))
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_S
            self.terminal.line(self._plain_line(rows))
            if not status["ready"]:
                self.terminal.line(" " * 10 + _troubles(status["trouble"]))

    def rate(self, stage):
        """Rows a second, over the last two seconds."""
        now, rows = self.history[-1]
        before, earlier = next(one for one in self.history if one[0] >= now - RATE_S)
        return (rows[stage] - earlier[stage]) / (now - before) if now > before else 0.0

    def lag_s(self, stage):
        """How long ago the packages were read as far as this stage is now; 0 when it is level."""
        now, rows = self.history[-1]
        reached = rows[stage] + _ended_before(rows, stage)
        if reached >= rows["read"]:
            return 0.0
        return now - next((then for then, old in self.history if old["read"] > reached), now)

    def _block(self, status, rows):
        t = self.terminal
        seconds = int(self.elapsed_s())
        lines = ["", f"  {t.bold(self.title)}  {t.dim(f'{seconds // 60}:{seconds % 60:02}')}", ""]
        lines.append(t.dim(f"  {'':32}{'rows':>10}{'rows/s':>11}{'lag':>10}"))
        for stage, words in STAGES:
            lag = f"{self.lag_s(stage):8.1f} s" if stage != "read" else ""
            lines.append(f"  {words:32}{rows[stage]:>10,}{self.rate(stage):>11,.0f}{lag:>10}")
        ended = sum(rows[stage] for stage in ENDED)
        if ended < self.rows:
            full = round(ended / self.rows * BAR)
            lines += ["", f"  {'█' * full}{'░' * (BAR - full)} {ended / self.rows:.0%}"]
        lines += [""]
        lines += [f"  {name:12}{t.dim(describe_feed(feed))}"
                  for name, feed in status["feeds"].items()]
        lines += ["", "  " + t.dim(self._machine(status, rows))]
        if not status["ready"]:
            lines.append("  " + t.red(_troubles(status["trouble"])))
        return lines + [f"  {note}" for note in self.notes] + [""]

    def _machine(self, status, rows):
        used = sum(pool["used_bytes"] for pool in status["credit"].values())
        total = sum(pool["total_bytes"] for pool in status["credit"].values())
        return (f"dead letters {rows['dead']}   stale {rows['stale']}   in flight "
                f"{used / 2**20:.1f} of {total / 2**20:.0f} MiB   sluice: {self._cpu_percent:.0f} % "
                f"of a CPU, {self.sluice.rss_mib():.0f} MiB")

    def _plain_line(self, rows):
        stages = "  ".join(
            f"{stage} {rows[stage]:,} ({self.rate(stage):,.0f}/s"
            + (")" if stage == "read" else f", lag {self.lag_s(stage):.1f} s)")
            for stage, _ in STAGES)
        remark = self.remark and f"  {self.remark}"
        return f"{self.elapsed_s():6.1f} s  {self.phase:12}  {stages}  dead {rows['dead']}{remark}"


def rows_of(status):
    """{stage: rows} over all feeds."""
    total = collections.Counter({stage: 0 for stage, _ in STAGES} | dict.fromkeys(ENDED, 0))
    for feed in status["feeds"].values():
        total.update(feed["rows"])
    return total


def _ended_before(rows, stage):
    """Rows that never come to a stage, since they ended earlier or otherwise."""
    gone = rows["dead"] + rows["superseded"]
    return gone + rows["stale"] if stage == "applied" else gone


def describe_feed(feed):
    state = feed["state"] or {}
    if state.get("trouble"):
        return f"in trouble: {state['trouble']}"
    if "polls" in state:
        return (f"{state['state']} table '{state['table']}': {state['polls']} polls, "
                f"{state['bells']} bells")
    words = {"planned": "about to ask for an export", "requested": "has asked for an export",
             "executing": "Dynamics 365 is exporting", "packaged": "the package is ready",
             "streaming": "streaming the package", "published": "waiting for the last writes",
             "done": "done; waits for its next export"}
    run = state.get("run") or ""
    return f"{run[run.rfind('-') + 1:]}  {words.get(state.get('state'), state.get('state', ''))}"


def _troubles(troubles):
    return "waiting for " + "; ".join(f"{one['what']}: {one['message']}" for one in troubles)
