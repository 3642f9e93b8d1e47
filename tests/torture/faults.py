"""Makes faults happen, and mends them."""

import heapq
import itertools
import random
import threading
import time

import pika.exceptions

import stage as stages
from cli import command
from process import wait_until

SETTLED_S = 3  # RabbitMQ 3.10 killed sooner after a queue's declaration may leave a husk (see husk.py)


class Processes:
    """Kills and pauses sluices, and brings them back. Runs on a thread of its own."""

    def __init__(self, sluices):
        self.sluices = sluices
        self.crashes = []
        self.kills = 0
        self._due = []  # (time, serial, what, name)
        self._serial = itertools.count()
        self._down = set()

    def happen(self, fault):
        self.look()
        name = self._up(fault.options["name"])
        if fault.kind == "pause":
            self.sluices[name].sigstop()
            self._later(fault.options["for_s"], "resume", name)
            return
        self.sluices[name].kill()
        self.kills += 1
        self._down.add(name)
        self._later(fault.options["down_s"], "start", name)

    def _up(self, name):
        """The process itself, or the next one that is not down."""
        names = list(self.sluices)
        place = names.index(name)
        return next(one for one in names[place:] + names if one not in self._down)

    def _later(self, seconds, what, name):
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._serial), what, name))

    def wait(self, until):
        """Brings back whose time has come, until that time."""
        while (due := self._due[0][0] if self._due else until) < until:
            time.sleep(max(0, due - time.monotonic()))
            self._bring_back(*heapq.heappop(self._due)[2:])
        time.sleep(max(0, until - time.monotonic()))

    def _bring_back(self, what, name):
        if what == "resume":
            self.sluices[name].sigcont()
        elif name in self._down:
            self._down.discard(name)
            self.sluices[name].start()

    def look(self):
        """Notes those that ended though nobody killed them, and starts them again."""
        for name, sluice in self.sluices.items():
            if name not in self._down and not sluice.running():
                self.crashes.append(f"{name} ended with status {sluice.child.returncode}:\n"
                                    f"{sluice.log_tail(40)}")
                sluice.start()

    def mend(self):
        while self._due:
            self._bring_back(*heapq.heappop(self._due)[2:])
        for sluice in self.sluices.values():
            sluice.sigcont()
        self.look()


class Servers:
    """What happens to RabbitMQ and MongoDB."""

    def __init__(self, the_stage, traffic, operator):
        self.stage, self.traffic, self.operator = the_stage, traffic, operator
        self.rabbit, self.mongo = the_stage.rabbit, the_stage.mongo

    def happen(self, fault):
        getattr(self, f"_{fault.kind}")(**fault.options)

    def _rabbit_kill(self, for_s):
        self.rabbit.kill()
        time.sleep(for_s)
        self.rabbit.start()

    def _rabbit_pause(self, for_s):
        self.rabbit.pause()
        time.sleep(for_s)
        self.rabbit.resume()

    def _rabbit_restart(self, for_s):
        self.rabbit.stop()
        time.sleep(for_s)
        self.rabbit.start()

    def _disk_alarm(self, for_s):
        self.rabbit.ctl("set_disk_free_limit", "100000GB")
        time.sleep(for_s)
        self.rabbit.ctl("set_disk_free_limit", "50MB")

    def _queue_delete(self, queue):
        """With what is in it. Posted rows that were answered would be lost with it, and nobody could
        read them again, so the clients make a pause around it."""
        with self.traffic.held() as quiet:
            if not quiet:
                return
            name = f"{self.stage.workspace.exchange}.{queue}"
            with self.rabbit.connect() as connection:
                connection.channel().queue_delete(name)
            wait_until(lambda: self._depth(queue) is not None, 60, f"{name} being declared again", 0.2)
            time.sleep(SETTLED_S)

    def _depth(self, queue):
        try:
            return self.stage.workspace.queue_depth(queue)
        except pika.exceptions.AMQPError:
            return None

    def _mongo_kill(self, member, for_s):
        self.mongo.members[member].kill()
        time.sleep(for_s)
        self.mongo.members[member].launch()
        self._wait_members()

    def _mongo_restart(self, member, for_s):
        self.mongo.members[member].stop()
        time.sleep(for_s)
        self.mongo.members[member].launch()
        self._wait_members()

    def _mongo_pause(self, member, for_s):
        self.mongo.members[member].pause()
        time.sleep(for_s)
        self.mongo.members[member].resume()

    def _mongo_majority_away(self, member, for_s):
        away = [one for index, one in enumerate(self.mongo.members) if index != member]
        for one in away:
            one.kill()
        time.sleep(for_s)
        for one in away:
            one.launch()
        self._wait_members()

    def _mongo_step_down(self):
        self.mongo.step_down()

    def _mongo_refuses(self, collection, for_s):
        """A validator that some rows do not meet; then what it refused is replayed, in the middle of it
        all."""
        self.operator.refuse(collection)
        time.sleep(for_s)
        self.operator.allow(collection)
        self.operator.replay()

    def _wait_members(self):
        wait_until(lambda: "" not in self.mongo.states() and "PRIMARY" in self.mongo.states(), 90,
                   "the members being back", 0.3)

    def mend(self):
        if not self.rabbit.server.running():
            self.rabbit.start()
        self.rabbit.resume()
        self.rabbit.wait_ready()
        self.rabbit.ctl("set_disk_free_limit", "50MB")
        for member in self.mongo.members:
            if not member.server.running():
                member.launch()
            member.resume()
        self._wait_members()
        self.operator.allow(*stages.COLLECTIONS)


class Outside:
    """What happens to the network and to Dynamics 365, and what operators ask for."""

    DEFAULTS = {"slow_body_bytes_per_s": None, "dv_slow_body": None, "dv_delay_ms": 5,
                "sas_seconds": None, "token_seconds": None, "final_status": None, "fail_next": None,
                "failed_moves_watermark": None}

    def __init__(self, the_stage, seed):
        self.stage, self.sim, self.proxies = the_stage, the_stage.sim, the_stage.proxies
        self.random = random.Random(seed)

    def happen(self, fault):
        getattr(self, f"_{fault.kind}")(**fault.options)

    def _network(self, proxy, what, stream, for_s):
        toxic = lambda kind, **attributes: self.proxies.toxic(proxy, kind, stream, **attributes)
        if what == "latency":
            toxic("latency", latency=200, jitter=150)
        elif what == "bandwidth":
            toxic("bandwidth", rate=20)
        elif what == "cut_in_frame":
            toxic("limit_data", bytes=self.random.randrange(1, 5000))
        elif what == "black_hole":
            for one in ("upstream", "downstream"):
                self.proxies.toxic(proxy, "timeout", one, timeout=0)
        elif what == "half_open":
            toxic("timeout", timeout=0)
        elif what == "reset":
            toxic("reset_peer", timeout=0)
        elif what == "refused":
            self.proxies.cut(proxy)
        time.sleep(for_s)
        self.proxies.mend()

    def _clock(self, name, jump_s, for_s):
        self.stage.jump(name, jump_s)
        time.sleep(for_s)
        self.stage.jump(name, 0)

    def _refresh(self, feed, force):
        """A full read and its sweep in the middle of it all. It may be refused (MongoDB is away, say)."""
        sluice = next(iter(self.stage.sluices.values()))
        options = {"no_wait": True, **({"force": True} if force else {})}
        answer = command(sluice.config_path, "refresh", feed, **options)
        if answer.status and not answer.err:
            raise RuntimeError(f"sluice refresh ended with status {answer.status} and said nothing")

    def _service(self, what, for_s, count):
        if what == "dv_expired":
            self.sim.dataverse("expire")
            return
        if what == "dv_burst":
            table = self.random.choice(stages.TABLES)
            self._switch(dv_report_both=self.random.random() < 0.7,
                         dv_deletions_first=self.random.random() < 0.5)
            for _ in range(count):
                gone = self.sim.dataverse("delete", table=table, count=6,
                                          seed=self.random.randrange(1, 1 << 30))["ids"]
                self.sim.dataverse("recreate", table=table, ids=gone[:4])
            return
        self._switch(**self._switches(what, count))
        time.sleep(for_s)
        self.mend()

    def _switches(self, what, count):
        return {
            "http_429": {"http_429_next": count, "retry_after": 1},
            "http_500": {"http_500_next": count},
            "http_503": {"http_503_next": count, "retry_after": 1},
            "export_lost": {"export_error_next": count},
            "export_failed": {"final_status": "Failed", "fail_next": count,
                              "failed_moves_watermark": self.random.random() < 0.5},
            "export_partial": {"final_status": "PartiallySucceeded", "fail_next": count},
            "urls_expired": {"sas_expired_next": count},
            "downloads_cut": {"truncate_download_at": self.random.randrange(1, 20_000),
                              "truncate_next": count},
            "packages_truncated": {"truncated_zip_next": count},
            "packages_corrupt": {"corrupt_zip_next": count},
            "slow_body": {"slow_body_bytes_per_s": 20_000, "sas_seconds": 1},
            "blob_away": {"blob_503_next": count},
            "tokens_revoked": {"revoke_tokens": True},
            "tokens_short": {"token_seconds": 2},
            "dv_throttled": {"dv_429_next": 4 * count, "dv_retry_after": 1,
                             "dv_429_code": self.random.choice(("0x80072322", "0x80072321",
                                                                "0x80072326"))},
            "dv_away": {self.random.choice(("dv_503_next", "dv_500_next")): 2 * count},
            "dv_nonsense": {self.random.choice(("dv_malformed_next", "dv_cut_body_next",
                                                "dv_html_next")): count},
            "dv_slow": {"dv_slow_body": 20_000, "dv_delay_ms": 300},
        }[what]

    def _switch(self, **switches):
        self.sim.post("switches", switches)

    def mend(self):
        self.proxies.mend()
        self._switch(**self.DEFAULTS)


class Lane(threading.Thread):
    """Carries out the faults of one lane, each at its time, or late when the one before took longer.
    tell(fault, late) is called at each beginning."""

    def __init__(self, name, plan, actor, began, tell):
        super().__init__(name=name, daemon=True)
        self.plan = [fault for fault in plan if fault.lane == name]
        self.actor, self.began, self.tell = actor, began, tell
        self.happened = 0
        self.problems = []

    def run(self):
        for fault in self.plan:
            self._wait(self.began + fault.at_s)
            self.tell(fault)
            try:
                self.actor.happen(fault)
            except Exception as error:  # the fault could not be made: the run cannot count it
                self.problems.append(f"{fault}: {error!r}")
                continue
            self.happened += 1

    def _wait(self, until):
        wait = getattr(self.actor, "wait", None)
        if wait:
            wait(until)
        else:
            time.sleep(max(0, until - time.monotonic()))
