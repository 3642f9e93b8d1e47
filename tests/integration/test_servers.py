"""The servers under the other tests are real, keep what they confirmed, and leave nothing behind."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pika
import pika.exceptions
import pymongo
import pytest
from pymongo.write_concern import WriteConcern

from metrics import Metrics
from process import Process
from servers import (Mongo, Rabbit, ServerError, build_dir, free_port, processes_of, wait_until)

QUORUM = {"x-queue-type": "quorum"}
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def publish(rabbit, queue, bodies):
    """Publishes to a quorum queue; returns when the broker has confirmed every message."""
    with rabbit.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments=QUORUM)
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("", queue, body, PERSISTENT, mandatory=True)


def consume(rabbit, queue, count):
    with rabbit.connect() as connection:
        channel = connection.channel()
        bodies = []
        for method, _, body in channel.consume(queue, inactivity_timeout=10):
            if method is None:
                break
            channel.basic_ack(method.delivery_tag)
            bodies.append(body)
            if len(bodies) == count:
                break
        channel.cancel()
        return bodies


def durable(mongo_client, database):
    return mongo_client[database].get_collection(
        "facts", write_concern=WriteConcern(w="majority", j=True))


def test_quorum_queue_delivers_what_was_confirmed(rabbit):
    bodies = [f"row {number}".encode() for number in range(100)]
    publish(rabbit, "test-servers-quorum", bodies)
    assert consume(rabbit, "test-servers-quorum", 100) == bodies


def test_rabbitmqctl_reaches_the_node(rabbit):
    publish(rabbit, "test-servers-ctl", [b"x"])
    wait_until(lambda: "test-servers-ctl\tquorum\t1"  # the count follows some seconds later
               in rabbit.ctl("list_queues", "name", "type", "messages"), 30, "the queue in the list")
    with pytest.raises(ServerError, match="list_nothing"):
        rabbit.ctl("list_nothing")


def test_majority_write_is_read_back(mongo):
    with mongo.connect() as client:
        facts = durable(client, "test_servers")
        facts.insert_one({"_id": 1, "text": "blåbær"})
        assert facts.find_one({"_id": 1}) == {"_id": 1, "text": "blåbær"}
        assert client.admin.command("hello")["setName"] == "rs0"
        client.drop_database("test_servers")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_restart_keeps_confirmed_messages(own_rabbit, how):
    bodies = [f"row {number}".encode() for number in range(50)]
    publish(own_rabbit, "kept", bodies)
    port = own_rabbit.port
    own_rabbit.settle("kept")
    getattr(own_rabbit, how)()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        own_rabbit.connect()
    own_rabbit.start()
    assert own_rabbit.port == port
    assert consume(own_rabbit, "kept", 50) == bodies


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_restart_keeps_majority_writes(own_mongo, how):
    with own_mongo.connect() as client:
        durable(client, "kept").insert_many([{"_id": number} for number in range(500)])
    getattr(own_mongo, how)()
    own_mongo.start()
    with own_mongo.connect() as client:
        assert client["kept"]["facts"].count_documents({}) == 500


def test_paused_mongod_answers_again_when_resumed(own_mongo):
    with pymongo.MongoClient(own_mongo.url, socketTimeoutMS=1000,
                             serverSelectionTimeoutMS=1000) as client:
        wait_until(lambda: answers(client), 20, "a first ping")
        own_mongo.pause()
        with pytest.raises(pymongo.errors.PyMongoError):
            client.admin.command("ping")
        own_mongo.resume()
        wait_until(lambda: answers(client), 20, "a ping after SIGCONT")


def answers(client):
    try:
        return client.admin.command("ping")["ok"] == 1
    except pymongo.errors.PyMongoError:
        return False


def test_paused_broker_answers_again_when_resumed(own_rabbit):
    own_rabbit.pause()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        own_rabbit.connect()
    own_rabbit.resume()
    publish(own_rabbit, "after-pause", [b"x"])
    assert consume(own_rabbit, "after-pause", 1) == [b"x"]


@pytest.mark.rabbit(consumer_timeout_ms=4000)
def test_consumer_timeout_takes_back_a_delivery_that_is_held(own_rabbit):
    """By closing the channel; from 4.3 the consumer is cancelled, which takes longer."""
    cancels = own_rabbit.version() >= (4, 3)
    publish(own_rabbit, "held", [b"x"])
    with own_rabbit.connect() as connection:
        channel, cancelled = connection.channel(), []
        channel.add_on_cancel_callback(cancelled.append)
        channel.basic_consume("held", lambda *delivery: None)

        def taken_back():
            try:
                connection.process_data_events(time_limit=0.5)
            except pika.exceptions.ChannelClosedByBroker:
                pass
            return channel.is_closed or cancelled

        wait_until(taken_back, 60 if cancels else 30, "the end of the consumer")
        assert channel.is_closed != cancels
        assert cancels or "delivery acknowledgement" in str(channel._closing_reason)


def test_memory_alarm_blocks_a_publisher_and_clears(own_rabbit):
    blocked, unblocked = [], []
    with own_rabbit.connect() as connection:
        connection.add_on_connection_blocked_callback(lambda *frame: blocked.append(frame))
        connection.add_on_connection_unblocked_callback(lambda *frame: unblocked.append(frame))
        channel = connection.channel()
        channel.queue_declare("alarm", durable=True, arguments=QUORUM)
        own_rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
        channel.basic_publish("", "alarm", b"x", PERSISTENT)
        wait_until(lambda: connection.process_data_events(0.1) or blocked, 20, "connection.blocked")
        own_rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
        wait_until(lambda: connection.process_data_events(0.1) or unblocked, 20,
                   "connection.unblocked")


def test_several_servers_at_once_leave_nothing_running(tmp_path):
    rabbits = [Rabbit(tmp_path / f"rabbit-{number}") for number in range(2)]
    mongos = [Mongo(tmp_path / f"mongo-{number}") for number in range(2)]
    servers = rabbits + mongos
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_ready()
        for number, rabbit in enumerate(rabbits):
            publish(rabbit, "own", [f"broker {number}".encode()])
        for number, mongo in enumerate(mongos):
            with mongo.connect() as client:
                durable(client, "own").insert_one({"_id": number})
        assert [consume(rabbit, "own", 1) for rabbit in rabbits] == [[b"broker 0"], [b"broker 1"]]
        for number, mongo in enumerate(mongos):
            with mongo.connect() as client:
                assert [fact["_id"] for fact in client["own"]["facts"].find()] == [number]
        assert processes_of(tmp_path), "the search for left-overs finds nothing even now"
        assert_on_loopback_only(processes_of(tmp_path))
    finally:
        for server in servers:
            server.stop()
    wait_until(lambda: not processes_of(tmp_path), 10, f"the end of {processes_of(tmp_path)}")


def test_killed_broker_leaves_nothing_running(tmp_path):
    rabbit = Rabbit(tmp_path)
    rabbit.start()
    rabbit.kill()
    wait_until(lambda: not processes_of(tmp_path), 10, f"the end of {processes_of(tmp_path)}")


def sockets_of(pid):
    """Yields their inodes. Helpers of RabbitMQ end, and files are closed, while one looks."""
    directory = pathlib.Path(f"/proc/{pid}/fd")
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(directory / name)
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def assert_on_loopback_only(processes):
    """No TCP socket of these processes listens on an address other than loopback."""
    inodes = set()
    for pid, _ in processes:
        inodes.update(sockets_of(pid))
    loopback = {"0100007F", "00000000000000000000000001000000"}
    listening = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for fields in (line.split() for line in list(lines)[1:]):
                if fields[3] == "0A" and fields[9] in inodes:
                    listening += 1
                    assert fields[1].split(":")[0] in loopback, f"listens on {fields[1]} (hex)"
    assert listening >= 2


@pytest.mark.parametrize("threaded", [False, True])
def test_children_die_with_the_program_that_started_them(tmp_path, threaded):
    """kill -9 of the test run itself must not leave servers; nor may a helper thread's end stop one."""
    script = textwrap.dedent(f"""
        import sys, threading, time
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from process import Process
        child = Process("sleeper", ["sleep", "600"], {str(tmp_path / 'log')!r},
                        {{"MARK": {str(tmp_path)!r}}})
        if {threaded}:
            thread = threading.Thread(target=child.spawn)
            thread.start()
            thread.join()
        else:
            child.spawn()
        time.sleep(0.5)
        print("running" if child.running() else "ended", child.pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
        state, pid = run.stdout.readline().split()
        run.kill()
    assert state == "running"
    wait_until(lambda: not os.path.exists(f"/proc/{pid}") or zombie(pid), 10, "the child's end")


def zombie(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "Z"


def test_process_reports_status_memory_and_cpu(tmp_path):
    burn = ("import time\nwhile time.process_time() < 0.3: pass\n"
            "print('done', flush=True)\ntime.sleep(600)")
    process = Process("burner", [sys.executable, "-c", burn], tmp_path / "log")
    process.spawn()
    process.wait_for(lambda: "done" in process.log_tail(), 20, "its work")
    assert process.cpu_s() >= 0.25
    assert 1 < process.rss_mib() <= process.peak_rss_mib() < 500
    assert process.stop() == -signal.SIGTERM
    with pytest.raises(ServerError, match="ended with status"):
        process.wait_for(lambda: False, 5, "anything")


def test_stop_kills_what_ignores_sigterm(tmp_path):
    process = Process("deaf", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"],
                      tmp_path / "log")
    process.spawn()
    process.wait_for(lambda: "up" in process.log_tail(), 10, "its trap")
    with pytest.raises(ServerError, match="did not end within 1 s"):
        process.stop(timeout_s=1)
    assert not process.running()


def test_free_port_is_never_given_twice_or_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [free_port() for _ in range(500)]
        assert len(set(ports)) == 500
        assert taken.getsockname()[1] not in ports


def test_metrics_are_parsed_and_added_up():
    metrics = Metrics(textwrap.dedent("""\
        # HELP rows_total Rows.
        # TYPE rows_total counter
        rows_total{stage="read",feed="a \\"b\\", c"} 5
        rows_total{stage="read",feed="d"} 7
        rows_total{stage="applied",feed="d"} 1e3
        loop_delay_seconds_bucket{le="0.001"} 90
        loop_delay_seconds_bucket{le="0.005"} 99
        loop_delay_seconds_bucket{le="+Inf"} 100
        up 1
    """))
    assert metrics.value("rows_total", stage="read") == 12
    assert metrics.value("rows_total", feed='a "b", c') == 5
    assert metrics.value("rows_total", stage="applied") == 1000
    assert metrics.quantile("loop_delay_seconds", 0.5) == 0.001
    assert metrics.quantile("loop_delay_seconds", 0.99) == 0.005
    assert metrics.get("absent") == 0
    with pytest.raises(KeyError, match="rows_total"):
        metrics.value("absent")


def test_workspace_has_names_of_its_own_and_removes_them(rabbit, mongo, tmp_path):
    from workspace import Workspace
    one, two = Workspace(tmp_path, rabbit, mongo), Workspace(tmp_path, rabbit, mongo)
    assert {one.exchange, *one.queues}.isdisjoint({two.exchange, *two.queues})
    config = one.config(feeds={}, broker={"queue_type": "classic"}, role="apply")
    assert config["broker"] == {"url": rabbit.url, "exchange": one.exchange, "queue_type": "classic"}
    assert config["role"] == "apply"
    one.db["facts"].insert_one({})
    publish(rabbit, f"{one.exchange}.fast", [b"x"])
    assert one.queue_depth("fast") == 1
    one.close()
    two.close()
    assert Workspace(tmp_path, rabbit, mongo).queue_depth("fast") is None
    with mongo.connect() as client:
        assert one.database not in client.list_database_names()


def test_build_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SLUICE_BUILD", str(tmp_path))
    assert build_dir() == tmp_path
    monkeypatch.delenv("SLUICE_BUILD")
    assert build_dir().parts[-2:] == ("build", "debug-asan")
