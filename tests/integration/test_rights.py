"""The rights that docs/OPERATIONS.md asks for in RabbitMQ are enough, and are needed."""

import re
import secrets

import pytest

from feeds import logged
from hooks import ROW, Hooks, Poster, event, source_status
from mailbox import Hook
from process import ROOT, free_port, wait_until
from readiness import troubles, wait_trouble
from tables import owns

DECLARING = "configure and to read queue 'sluice.fast', and to write to exchange 'sluice.unreadable'"
BINDING = "write to queue 'sluice.fast' and to read exchange 'sluice'"


def rights(exchange):
    """What the page says, for that exchange: configure, write, read."""
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    line = re.search(r"rabbitmqctl set_permissions -p \S+ sluice '(\S+)' '(\S+)' '(\S+)'", text)
    return [one.replace("sluice", re.escape(exchange)) for one in line.groups()]


def permit(rabbit, name, *given):
    """Configure, write, read."""
    words = ", ".join('<<"' + one.replace("\\", "\\\\") + '">>' for one in given)
    rabbit.ctl("eval", f"rabbit_auth_backend_internal:set_permissions(<<\"{name}\">>, <<\"/\">>, {words}, <<\"test\">>).")


def user_with(rabbit, *given):
    """A user of those rights; gives the URL that logs in as him."""
    name = f"u-{secrets.token_hex(4)}"
    rabbit.ctl("eval", f"rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"pass\">>, <<\"test\">>).")
    permit(rabbit, name, *given)
    return rabbit.url.replace("guest:guest", f"{name}:pass")


def user_of(url):
    return url.partition("//")[2].partition(":")[0]


def refusals(rabbit, url):
    """How often RabbitMQ has closed a channel of the URL's user."""
    return sum(text.read_text().count(f"refused for user '{user_of(url)}'") for text in rabbit.dir.glob("log/*.log"))


def test_the_rights_that_are_asked_for_in_rabbitmq_are_enough(sim, rabbit, workspace):
    scene = Hooks(sim, workspace, {"account": 20}, read_back={"new_visit": 0})
    sluice = scene.sluice(broker={"url": user_with(rabbit, *rights(workspace.exchange))})
    scene.register()
    scene.wait_followed()
    visits = scene.create(3, "new_visit")
    for visit in visits:  # without a mode: by the queue of later
        assert Poster(scene.port).send(event("new_visit", visit, Mode=None))[0] == 200
    scene.change(count=5)
    scene.check_nothing_lost()
    wait_until(sluice.ready, 20, "no trouble")


def test_a_right_that_is_missing_in_rabbitmq_is_named(sim, rabbit, workspace):
    scene = Hooks(sim, workspace, {"account": 5})
    configure, write, read = rights(workspace.exchange)
    url = user_with(rabbit, "^$", write, read)
    sluice = workspace.sluice(scene.config(broker={"url": url}))
    assert sluice.wait(30) == 1 and "needs the right to configure" in sluice.log_path.read_text()


@pytest.mark.parametrize("lacks, named", [
    ("configure sluice.fast", DECLARING),
    ("read sluice.fast", DECLARING),
    ("write sluice.unreadable", "write to queue 'sluice.unreadable' and to read exchange 'sluice.unreadable'"),
    ("write sluice.fast", BINDING),
    ("read sluice", BINDING),
    ("configure sluice", "configure exchange 'sluice'"),
])
def test_what_is_refused_names_the_right_that_it_needs(sim, rabbit, workspace, lacks, named):
    """RabbitMQ 3.10 tells of what, and not which."""
    kind, name = lacks.replace("sluice", workspace.exchange).split()
    given = rights(workspace.exchange)
    given[["configure", "write", "read"].index(kind)] = f"^(?!{re.escape(name)}$)"
    sluice = workspace.sluice(Hooks(sim, workspace, {"account": 5}).config(
        broker={"url": user_with(rabbit, *given)}))
    assert sluice.wait(30) == 1
    named = named.replace("sluice", workspace.exchange)
    assert f"needs the right to {named}: RabbitMQ " in sluice.log_path.read_text()


def test_a_right_to_read_a_queue_is_named_where_the_queue_is_there(sim, rabbit, workspace):
    """Only who consumes needs it then."""
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    scene.sluice().stop()
    configure, write, _ = rights(workspace.exchange)
    queues = {kind: f"{workspace.exchange}.{kind}" for kind in ("fast", "events.hook")}
    url = user_with(rabbit, configure, write, f"^(?!({'|'.join(map(re.escape, queues.values()))})$)")
    sluice = workspace.sluice(scene.config(broker={"url": url}), name="narrowed")
    for what, kind in (("queue fast", "fast"), ("source hook", "events.hook")):
        wait_trouble(sluice, what, f"needs the right to read queue '{queues[kind]}'")


def test_a_right_to_publish_that_is_missing_is_named_until_it_is_there(sim, rabbit, workspace):
    """RabbitMQ says so when a message comes, not before, and answers everything else."""
    scene = Hooks(sim, workspace, {"account": 5})
    configure, write, read = rights(workspace.exchange)
    url = user_with(rabbit, configure, write.replace("?", ""), read)  # the queues, but not the exchange
    sluice = workspace.sluice(scene.config(broker={"url": url}))
    for what in ("publishing", "feed account"):
        wait_trouble(sluice, what, "needs the right to write to exchange", workspace.exchange)
    permit(rabbit, user_of(url), configure, write, read)
    sluice.wait_ready(30)
    scene.wait_followed()
    scene.check_nothing_lost()


def test_a_right_to_keep_events_that_is_missing_is_told_before_one_comes(sim, rabbit, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    scene.sluice().stop()  # whoever declares their queues needs it, too
    configure, write, read = rights(workspace.exchange)
    url = user_with(rabbit, configure, write.replace(r"|amq\.default", ""), read)
    missing, waits = "needs the right to write to exchange 'amq.default'", event("new_visit", ROW, Mode=None)
    with Hook() as hook:
        sluice = workspace.sluice(scene.config(broker={"url": url}, alerts=hook.alerts()), name="narrowed")
        wait_trouble(sluice, "source hook", missing)
        told = wait_until(lambda: hook.told("raised"), 30, "the alert")[0]
        assert told["subject"] == "source hook" and missing in told["text"]
        before = refusals(rabbit, url)
        assert Poster(scene.port).send(waits)[0] == 503  # ten seconds later, or two
        assert 0 < before <= refusals(rabbit, url) <= before + 8

        permit(rabbit, user_of(url), configure, write, read)
        sluice.wait_ready(30)
        assert Poster(scene.port).send(waits)[0] == 200 and workspace.queue_depth("later.hook") == 1
        assert wait_until(lambda: hook.told("over"), 30, "its end")[0]["subject"] == "source hook"


def doctor_says(workspace, config):
    """What `sluice doctor` tells of publishing."""
    said = workspace.sluice(config, name="asked", start=False).command("doctor").stdout
    return [line for line in said.splitlines() if "broker publishing: " in line]


def test_the_doctor_tries_the_rights_to_publish_and_publishes_nothing(sim, rabbit, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    configure, write, read = rights(workspace.exchange)
    other = f"{workspace.exchange}.other"

    def said(given):
        return doctor_says(workspace, scene.config(broker={"url": user_with(rabbit, configure, given, read)}))

    assert said(write)[0].startswith("ok ")  # it makes the exchange
    with rabbit.connect() as connection:  # another consumer takes all that comes
        channel = connection.channel()
        channel.queue_declare(other, exclusive=True)
        channel.queue_bind(other, workspace.exchange, "#")
        assert said(write) == [f"ok    broker publishing: the user may write to exchange '{workspace.exchange}' and, "
                               "for events, to 'amq.default'"]
        assert channel.queue_declare(other, passive=True).method.message_count == 0

    unkept = write.replace(r"|amq\.default", "")
    for given, lacks in ((write.replace("?", ""), [workspace.exchange]), (unkept, ["amq.default"]),
                         (unkept.replace("?", ""), [workspace.exchange, "amq.default"])):
        told = said(given)
        assert len(told) == len(lacks), told
        for line, name in zip(told, lacks):
            assert line.startswith("FAIL  broker publishing: the user in broker.url needs the right to write to "
                                   f"exchange '{name}': RabbitMQ "), line


def test_the_doctor_tries_the_rights_to_consume_and_takes_nothing(sim, rabbit, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    scene.sluice().stop()
    configure, write, read = rights(workspace.exchange)
    queues = [f"{workspace.exchange}.{kind}" for kind in ("fast", "bulk", "events.hook")]

    def said(given):
        config = scene.config(broker={"url": user_with(rabbit, configure, write, given)})
        told = workspace.sluice(config, name="asked", start=False).command("doctor").stdout
        return [line for line in told.splitlines() if "broker consuming: " in line]

    with rabbit.publishing() as channel:
        channel.basic_publish(workspace.exchange, "fast.x", b"?")
        wait_until(lambda: workspace.queue_depth("fast") == 1, 10, "a message")
        assert said(read) == ["ok    broker consuming: the user may read the queues"]
        got, _, body = channel.basic_get(queues[0], auto_ack=True)
        assert body == b"?" and not got.redelivered
    told = said(f"^(?!({'|'.join(map(re.escape, queues))})$)")
    assert len(told) == len(queues), told
    for line, queue in zip(told, queues):
        assert line.startswith(f"FAIL  broker consuming: the user in broker.url needs the right to read queue '{queue}'")


def test_a_right_to_ring_other_processes_that_is_missing_is_named(sim, rabbit, workspace):
    """By the doctor, and when a bell goes to another process, which owns the source."""
    scene = Hooks(sim, workspace, {"account": 5})
    owner = scene.sluice("owner", mongo={"lease": "30s"})
    wait_until(lambda: owns(owner), 10, "an owner")
    configure, write, read = rights(workspace.exchange)
    bells = f"{workspace.exchange}.bells"
    url = user_with(rabbit, configure, write.replace("^", f"^(?!{re.escape(bells)}$)", 1), read)
    missing = f"needs the right to write to exchange '{bells}'"
    port = free_port()
    other = scene.sluice("other", port=port, broker={"url": url}, mongo={"lease": "30s"})
    assert any(missing in line for line in doctor_says(workspace, other.config))
    assert Poster(port).send(event("account", ROW))[0] == 200
    line = wait_until(lambda: logged(other, "connection to RabbitMQ in trouble, will try again"), 20, "the refusal")[0]
    assert missing in line["error"] and line["level"] == "error"


def test_a_right_to_ring_that_is_missing_leaves_the_events_alone(sim, rabbit, workspace):
    """They have the same connection. A bell may be lost, so it waits for no more than the right."""
    scene = Hooks(sim, workspace, {"account": 5}, read_back={"new_visit": 0})
    owner = scene.sluice("owner", mongo={"lease": "30s"})
    configure, write, read = rights(workspace.exchange)
    bells = f"{workspace.exchange}.bells"
    url = user_with(rabbit, configure, write.replace("^", f"^(?!{re.escape(bells)}$)", 1), read)
    port = free_port()
    other = scene.sluice("other", port=port, broker={"url": url}, mongo={"lease": "30s"})
    poster = Poster(port)
    missing = f"needs the right to write to exchange '{bells}'"

    assert poster.send(event("account", ROW))[0] == 200
    wait_trouble(other, "source hook", missing)
    for _ in range(20):
        assert poster.send(event("account", ROW))[0] == 200
        assert poster.send(event("new_visit", ROW, Mode=None))[0] == 200
        assert missing in troubles(other)["source hook"]
    assert len(logged(other, "connected to RabbitMQ", connection="sluice webhook")) == 1
    assert refusals(rabbit, url) <= 2  # it is tried again, seldom

    permit(rabbit, user_of(url), configure, write, read)
    other.wait_ready(30)
    heard = source_status(owner)["bells_heard"]
    assert poster.send(event("account", ROW))[0] == 200
    wait_until(lambda: source_status(owner)["bells_heard"] > heard, 10, "a bell")


@pytest.mark.rabbit(memory_high_watermark="1MB")
def test_an_alarm_of_rabbitmq_is_no_right_that_is_missing(sim, own_rabbit, workspace):
    """While it blocks publishing, it answers nothing to who has tried."""
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    config = scene.config(broker={"connect_timeout": "3s"})
    sluice = workspace.sluice(config)
    sluice.wait_for(lambda: any(line.get("connection") == "sluice webhook" and line["msg"] == "connected to RabbitMQ"
                                for line in sluice.log_lines()), 30, "the connection of events")
    assert "source hook" not in troubles(sluice)
    assert doctor_says(workspace, config) == [
        "warn  broker publishing: could not be tried: RabbitMQ blocks publishing: low on memory → see to its memory "
        "and its disk, then ask again"]
    own_rabbit.ctl("set_vm_memory_high_watermark", "0.4")
    waits = event("new_visit", ROW, Mode=None)
    wait_until(lambda: Poster(scene.port).send(waits)[0] == 200, 30, "an event that is kept")
