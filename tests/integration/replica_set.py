"""Three mongods that are one replica set: a member may be killed, paused or asked to step down."""

import pathlib

import pymongo
import pymongo.errors

from process import ServerError, wait_until
from servers import Mongo

ELECTION_MS = 2000  # silence of the primary after which the others choose another one


class MongoSet:
    """Members are members[0] and so on, each a Mongo. advertised(index, port) gives the port by which
    clients and the other members reach a member: that of a proxy, or its own."""

    def __init__(self, directory, count=3, cache_gb=0.25, advertised=None):
        self.members = [Mongo(pathlib.Path(directory) / f"member-{index}", cache_gb)
                        for index in range(count)]
        advertised = advertised or (lambda index, port: port)
        self.ports = [advertised(index, one.port) for index, one in enumerate(self.members)]

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{hosts}/?replicaSet=rs0"

    def connect(self, **options):
        """A pymongo client of the replica set; the caller closes it."""
        return pymongo.MongoClient(self.url, **{"serverSelectionTimeoutMS": 10000, **options})

    def _direct(self, index):
        return pymongo.MongoClient("127.0.0.1", self.members[index].port, directConnection=True,
                                   serverSelectionTimeoutMS=1000, socketTimeoutMS=5000)

    def launch(self):
        for one in self.members:
            one.launch()

    def wait_ready(self, timeout_s=90):
        """Waits for a primary and for all others to follow it; makes the set where there is none."""
        wait_until(self._initiated, timeout_s, "the replica set being made", 0.2)
        wait_until(lambda: sorted(self.states()) == ["PRIMARY"] + ["SECONDARY"] * (
            len(self.members) - 1), timeout_s, "a primary and its followers", 0.2)

    def start(self, timeout_s=90):
        self.launch()
        self.wait_ready(timeout_s)

    def _initiated(self):
        with self._direct(0) as client:
            try:
                if not client.admin.command("hello").get("isreplicaset"):
                    return True
                client.admin.command("replSetInitiate", {
                    "_id": "rs0",
                    "members": [{"_id": index, "host": f"127.0.0.1:{port}"}
                                for index, port in enumerate(self.ports)],
                    "settings": {"electionTimeoutMillis": ELECTION_MS,
                                 "heartbeatIntervalMillis": 500}})
                return True
            except pymongo.errors.PyMongoError:
                return False  # not there so far

    def states(self):
        """What each member says it is ("PRIMARY"), "" when it says nothing."""
        return [self._state(index) for index in range(len(self.members))]

    def _state(self, index):
        try:
            with self._direct(index) as client:
                hello = client.admin.command("hello")
        except pymongo.errors.PyMongoError:
            return ""
        return "PRIMARY" if hello.get("isWritablePrimary") else \
            "SECONDARY" if hello.get("secondary") else "OTHER"

    def primary(self):
        """Index of the primary; None when there is none."""
        states = self.states()
        return states.index("PRIMARY") if "PRIMARY" in states else None

    def step_down(self, seconds=5):
        """The primary gives way to another member; False when there was none, or it could not."""
        index = self.primary()
        if index is None:
            return False
        try:
            with self._direct(index) as client:
                client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=2)
        except pymongo.errors.OperationFailure:
            return False
        except pymongo.errors.PyMongoError:
            pass  # it closes connections on the way
        return True

    def stop(self):
        """All at once: a member that is alone would wait for the others."""
        problems = []
        for one in self.members:
            one.server.sigcont()
            try:
                one.stop()
            except ServerError as error:
                problems.append(str(error))
        if problems:
            raise ServerError("\n".join(problems))

    def log_tail(self, lines=30):
        return "\n".join(one.log_tail(lines) for one in self.members)
