"""An hour of trouble in a minute: rows come, change, go and come back in five tables, while everything that
is known to go wrong goes wrong, and at the end MongoDB says what the service says. Webhooks ring; some are
lost, some come twice, late, or of a change that was rolled back."""

import time

from hooks import Hooks
from process import free_port, wait_until
from scene import seeded
from tables import owns

LENGTH_S = 46
TABLES = ("account", "contact", "product", "salesorder", "new_tag")
ROWS = 150


class Trouble:
    """What goes wrong, each by its name, at random moments of the scene."""

    def __init__(self, random, scene, rabbit, sluices):
        self.random, self.scene, self.rabbit, self.sluices = random, scene, rabbit, sluices
        self.kills = 0

    def plan(self, length_s):
        """[(when, what)] in the order of time."""
        wanted = (["kill"] * 4 + ["kill_owner"] + ["throttle"] * 3 + ["away"] * 2 + ["nonsense"] * 2
                  + ["revoke"] + ["burst"] * 4)
        plan = [(self.random.uniform(1, length_s), what) for what in wanted]
        # Apart from each other, so that each is felt.
        plan += [(length_s * 0.3, "expire"), (length_s * 0.5, "rabbit"), (length_s * 0.75, "expire")]
        return sorted(plan)

    def _kill(self, sluice):
        sluice.kill()
        self.kills += 1
        sluice.start()

    def kill(self):
        self._kill(self.random.choice(self.sluices))

    def kill_owner(self):
        self._kill(wait_until(lambda: next(filter(owns, self.sluices), None), 20, "an owner"))

    def throttle(self):
        code = self.random.choice(("0x80072322", "0x80072321", "0x80072326"))
        self.scene.switch(dv_429_next=self.random.randint(1, 20), dv_429_code=code, dv_retry_after=1)

    def away(self):
        self.scene.switch(**{self.random.choice(("dv_503_next", "dv_500_next")): 3})

    def nonsense(self):
        kind = self.random.choice(("dv_malformed_next", "dv_cut_body_next", "dv_html_next"))
        self.scene.switch(**{kind: 3})

    def revoke(self):
        self.scene.switch(revoke_tokens=True)

    def burst(self):
        """Rows deleted and created again, told in one answer or in two, and told both ways or not."""
        table = self.random.choice(TABLES)
        self.scene.switch(dv_report_both=self.random.random() < 0.7,
                          dv_deletions_first=self.random.random() < 0.5)
        for _ in range(self.random.randint(1, 4)):
            gone = self.scene.delete(table, count=10, seed=self.random.randrange(1 << 30))
            self.scene.recreate(table, ids=gone[:7])

    def expire(self):
        self.scene.sim.dataverse("expire")

    def rabbit_dies(self):
        self.rabbit.kill()
        self.rabbit.start()

    def happen(self, what):
        (self.rabbit_dies if what == "rabbit" else getattr(self, what))()


def test_an_hour_of_trouble_loses_nothing_and_raises_nobody(sim, own_rabbit, workspace):
    random = seeded()
    scene = Hooks(sim, workspace, dict.fromkeys(TABLES, ROWS), every="500ms", run_span="500ms",
                  sweep_limit=100, ledger_deadline="5s")
    scene.switch(token_seconds=4, dv_delay_ms=5, hook_lose_percent=15, hook_double_percent=15,
                 hook_rollback_percent=5, hook_oversize=10, hook_disorder=300)
    ports = {name: free_port() for name in ("one", "two")}
    sluices = [scene.sluice(name, port=port, limits={"batch_rows": 40})
               for name, port in ports.items()]
    for port in ports.values():
        scene.register(port)
    scene.wait_followed()
    own_rabbit.settle(*workspace.queues[:2])
    sim.dataverse("load", tables=list(TABLES), per_s=60, seconds=LENGTH_S,
                  seed=random.randrange(1 << 30),
                  mix={"update": 60, "create": 13, "delete": 17, "recreate": 10})
    trouble = Trouble(random, scene, own_rabbit, sluices)
    begun = time.monotonic()
    for when, what in trouble.plan(LENGTH_S):
        print(f"{when:5.1f} {what}")
        wait_until(lambda: time.monotonic() - begun > when, LENGTH_S, what)
        trouble.happen(what)

    scene.check_nothing_lost(60, failed=None)
    assert trouble.kills == 5
    states = {run["state"] for run in workspace.state["runs"].find()}
    assert states <= {"done", "failed", "abandoned"}, states
    assert all(scene.tombstones(table) for table in TABLES)
    stats, posts = scene.stats(), scene.posts()
    assert stats["expired"] > len(TABLES) and stats["changes"] >= 60 * LENGTH_S
    assert posts["lost"] and posts["doubled"] and posts["rolled_back"] and posts["delivered"] > 1000
    for sluice in sluices:
        assert sluice.stop() == 0
    for line in (line for sluice in sluices for line in sluice.log_lines()):
        assert line["level"] != "error", line
