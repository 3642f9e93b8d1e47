"""What one test owns: names nobody else uses on the servers, a folder, and the sluices it starts."""

import copy
import secrets

import pika.exceptions

from process import ServerError
from programs import SANITIZER_STATUS, Sluice


def _merge(base, changes):
    """Lays changes over base: objects are merged, everything else is replaced."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
    return base


class Workspace:
    """Borrows the servers; close() stops what was started here and removes what it left on them."""

    def __init__(self, directory, rabbit, mongo):
        self.dir = directory
        self.rabbit, self.mongo = rabbit, mongo
        name = secrets.token_hex(4)
        self.exchange = f"t-{name}"
        self.database = f"t_{name}"
        self.state_database = f"t_{name}_state"
        self.client = mongo.connect(connect=False)
        self.sluices = []

    @property
    def db(self):
        """The database that documents go to."""
        return self.client[self.database]

    @property
    def state(self):
        """The database of runs, checkpoints, leases, ledger and dead."""
        return self.client[self.state_database]

    @property
    def queues(self):
        return [f"{self.exchange}.{kind}" for kind in ("fast", "bulk", "unreadable")]

    def queue_depth(self, kind):
        """Messages ready in queue `fast`, `bulk` or `unreadable`, say; None when there is no such queue."""
        with self.rabbit.connect() as connection:
            try:
                declared = connection.channel().queue_declare(f"{self.exchange}.{kind}", passive=True)
            except pika.exceptions.ChannelClosedByBroker:
                return None
            return declared.method.message_count

    def shorten_later(self, ms):
        """What is for later is for soon. Before the queue is made: its messages keep their time."""
        self.rabbit.ctl("set_policy", self.exchange, rf"^{self.exchange}\.later\.",
                        f'{{"message-ttl":{ms}}}', "--apply-to", "queues")

    def config(self, sim=None, feeds=None, **changes):
        """A configuration with this workspace's names; changes are laid over it.

        With a Sim, source "fno" is that simulator.
        """
        base = {
            "broker": {"url": self.rabbit.url, "exchange": self.exchange},
            "mongo": {"url": self.mongo.url, "database": self.database,
                      "state_database": self.state_database, "lease": "10s",
                      "write_timeout": "3s"},  # a sweep waits for twice as long
        }
        if sim:
            base["sources"] = {"fno": {"type": "dmf", "url": sim.url, "auth": sim.auth()}}
        if feeds is not None:
            base["feeds"] = copy.deepcopy(feeds)
        return _merge(base, changes)

    def sluice(self, config, name=None, start=True, ready_timeout_s=None):
        """A Sluice that close() will stop; names are sluice, sluice-2, ... unless given."""
        count = len(self.sluices)
        name = name or ("sluice" if count == 0 else f"sluice-{count + 1}")
        sluice = Sluice(self.dir, config=config, name=name)
        self.sluices.append(sluice)
        if start:
            sluice.start(ready_timeout_s)
        return sluice

    def close(self, tidy=True):
        """tidy=False leaves the servers alone, for a test whose own servers end with it.

        Raises ServerError when a sluice did not stop, its sandbox denied it something, or a sanitizer
        complained in any of them.
        """
        problems = []
        for sluice in self.sluices:
            problems += _end(sluice)
        if tidy:
            self._tidy()
        self.client.close()
        if problems:
            raise ServerError("\n".join(problems))

    def _tidy(self):
        for name in (self.database, self.state_database):
            self.client.drop_database(name)
        with self.rabbit.connect() as connection:
            channel = connection.channel()
            for queue in (*self.queues, *self._event_queues()):
                channel.queue_delete(queue)
            for exchange in (self.exchange, f"{self.exchange}.unreadable", f"{self.exchange}.bells"):
                channel.exchange_delete(exchange)

    def _event_queues(self):
        return {f"{self.exchange}.{kind}.{name}" for sluice in self.sluices
                for name, source in sluice.config.get("sources", {}).items()
                for kind in ("events", "later") if source.get("type") == "webhook"}


def _end(sluice):
    """Stops one sluice; gives what was wrong with it."""
    problems = []
    try:
        status = sluice.stop()
    except ServerError as error:
        problems.append(str(error))
        status = None
    denied = sluice.denied()
    if denied:
        problems.append(f"{sluice.name}: {denied}")
    report = sluice.sanitizer_report()
    if report or status == SANITIZER_STATUS:
        problems.append(f"{sluice.name}: sanitizer report\n{report or sluice.log_tail(60)}")
    return problems

