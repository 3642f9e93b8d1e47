"""MongoDB restored from a backup, state and data: what was read since then comes again, of tables by itself,
of packages by a refresh."""

import datetime
import shutil

import pytest

from feeds import logged
from process import wait_until
from tables import Tables
from test_refresh import Refreshed

OLDER = "a lease was older than known: was MongoDB restored from a backup?"


class Backup:
    """The files of a mongod, copied while it is stopped."""

    def __init__(self, mongo, path):
        self.mongo, self.path = mongo, path
        mongo.stop()
        shutil.copytree(mongo.dir / "data", path)
        mongo.start()

    def restore(self):
        """Leaves mongod stopped."""
        self.mongo.stop()
        shutil.rmtree(self.mongo.dir / "data")
        shutil.copytree(self.path, self.mongo.dir / "data")


def wait_at_rest(scene):
    scene.wait_followed()
    wait_until(lambda: not scene.checkpoint().keys() & {"reading", "sweeping"}, 30, "the sweep")
    scene.wait_books_closed()


@pytest.mark.parametrize("changes", ["at once", "later"])
def test_beneath_a_running_sluice_tables_go_on_from_the_backup(sim, own_mongo, workspace, tmp_path,
                                                               changes):
    scene = Tables(sim, workspace, {"account": 80})
    sluice = scene.sluice()
    wait_at_rest(scene)
    backup = Backup(own_mongo, tmp_path / "backup")
    sluice.wait_ready(30)
    scene.change(count=30)
    scene.create(5)
    scene.delete(count=5)
    wait_at_rest(scene)
    epoch = workspace.state["leases"].find_one({"_id": "source:crm"})["epoch"]
    backup.restore()
    if changes == "at once":  # journaled before the lease is looked at
        scene.change(count=2)
    own_mongo.start()
    if changes == "later":  # nothing to journal until it was looked at
        wait_until(lambda: workspace.state["leases"].find_one({"_id": "source:crm"})["epoch"] > epoch,
                   20, "the source being taken anew")
        scene.change(count=2)
    scene.check_nothing_lost()
    assert logged(sluice, OLDER)


def test_beneath_a_running_sluice_runs_of_packages_are_none_of_before_and_a_refresh_brings_all(
        sim, own_mongo, workspace, tmp_path):
    scene = Refreshed(sim, workspace, every="1h")  # at rest: nothing is journaled beneath the backup
    sluice = scene.sluice()
    scene.wait_run_done_after(0)
    backup = Backup(own_mongo, tmp_path / "backup")
    sluice.wait_ready(30)
    scene.change(30)
    assert sluice.command("refresh", "vendors").returncode == 0
    known = max(run["number"] for run in scene.runs())
    backup.restore()
    restored = datetime.datetime.now(datetime.timezone.utc)
    own_mongo.start()
    wait_until(lambda: logged(sluice, OLDER), 30, "the restored lease being seen")
    done = sluice.command("refresh", "vendors")
    assert done.returncode == 0, done.stdout + done.stderr
    scene.check()
    again = scene.runs(number={"$lte": known}, created_at={"$gt": restored})
    assert not again, "batches of those before may be on their way"


def test_rows_left_in_rabbitmq_and_deleted_meanwhile_go_by_a_refresh(sim, own_mongo, workspace, tmp_path):
    scene = Tables(sim, workspace, {"account": 80})
    sluice = scene.sluice()
    wait_at_rest(scene)
    sluice.stop()
    backup = Backup(own_mongo, tmp_path / "backup")
    ingest = scene.sluice("ingest", role="ingest")
    born = scene.create(3)
    wait_until(lambda: workspace.queue_depth("fast"), 20, "messages in the queue")
    ingest.stop()
    backup.restore()
    scene.delete(ids=born)
    own_mongo.start()
    sluice.start(ready_timeout_s=30)
    wait_until(lambda: not workspace.queue_depth("fast"), 20, "the queues being empty")
    scene.time_of_a_change("account")
    done = sluice.command("refresh", "account")
    assert done.returncode == 0, done.stdout + done.stderr
    scene.wait_followed()
    assert scene.differences() == []
