"""What comes late from before a full read brings no row back that the full read did not see: its sweep had
nothing to bury."""

import dataclasses

import pytest

from gate import Gate
from process import wait_until
from tables import Tables
from test_appliers import applied, copies_of_everything, publish, take_all
from test_refresh import Refreshed


@dataclasses.dataclass
class Late:
    """Messages that nobody has applied, and that arrive when all seems over."""

    workspace: object
    messages: list

    @classmethod
    def taken(cls, workspace, lane):
        """What lies in that queue, taken out of it as a consumer that stopped for hours would."""
        queue = f"{workspace.exchange}.{lane}"
        wait_until(lambda: workspace.queue_depth(lane), 20, f"messages in {queue}")
        with workspace.rabbit.connect() as connection:
            return cls(workspace, take_all(connection.channel(), queue))

    def arrive(self, sluice):
        """Delivered at last; gives how many of their rows were applied, and how many were stale."""
        before = applied(self.workspace, [sluice.name])
        with self.workspace.rabbit.connect() as connection:
            publish(connection.channel(), self.workspace, self.messages)
        wait_until(lambda: not self.workspace.queue_depth("fast")
                   and not self.workspace.queue_depth("bulk"), 20, "empty queues")

        def counted():
            now = applied(self.workspace, [sluice.name])
            done = {stage: now[stage] - before[stage] for stage in now}
            return done if done["consumed"] and done["consumed"] == sum(
                done[stage] for stage in ("applied", "stale", "dead")) else None
        done = wait_until(counted, 20, "the rows being accounted for")
        assert done["dead"] == 0
        return done["applied"], done["stale"]


@pytest.fixture
def gate(sim):
    way = Gate(sim.port)
    yield way
    way.close()


def test_a_late_delta_of_a_table_makes_no_document(sim, workspace, gate):
    scene = Tables(sim, workspace, {"account": 60}, url=gate.url, ledger_deadline="10m")
    ingest = scene.sluice("ingest", role="ingest")
    apply = scene.sluice("apply", role="apply")
    scene.wait_followed()
    scene.wait_books_closed()
    apply.stop()
    born = scene.create(5)
    late = Late.taken(workspace, "fast")
    gate.shut()
    scene.delete(ids=born[:3])
    scene.sim.dataverse("expire")
    gate.open()  # the deletions are never read
    apply.start(ready_timeout_s=30)
    wait_until(lambda: ingest.metrics().get("sluice_full_reads_total", feed="account"), 20,
               "the full read")
    scene.wait_followed()
    wait_until(lambda: "sweeping" not in scene.checkpoint() and "reading" not in scene.checkpoint(),
               30, "the sweep")
    assert late.arrive(apply) == (0, 5)
    assert not set(born[:3]) & scene.live().keys(), "rows that are gone came back"
    assert scene.followed()
    assert scene.differences() == []
    scene.change(ids=born[3:])  # what follows goes on
    assert scene.create(2)
    scene.wait_followed()


def test_a_late_export_makes_no_document_after_a_refresh(sim, workspace):
    scene = Refreshed(sim, workspace, records=40)
    channel, copies = copies_of_everything(workspace)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    late = Late(workspace, take_all(channel, copies))
    channel.connection.close()
    gone = scene.delete(4)
    done = sluice.command("refresh", "vendors")
    assert done.returncode == 0, done.stderr
    assert scene.tombstones() == gone
    scene.documents.delete_many({"_id": {"$in": list(gone)}})  # as when nothing had been stored
    assert late.arrive(sluice) == (0, 40)
    assert scene.tombstones() == set() and not gone & scene.live()


def test_what_a_person_deleted_by_hand_comes_back_by_a_refresh(sim, workspace):
    """A full read makes documents, whatever was read before it."""
    scene = Refreshed(sim, workspace, records=40)
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    for _ in range(2):
        assert sluice.command("refresh", "vendors").returncode == 0
        scene.documents.delete_many({})
    assert sluice.command("refresh", "vendors").returncode == 0
    assert len(scene.live()) == 40
