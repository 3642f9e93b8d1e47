"""The rights that docs/OPERATIONS.md asks for in RabbitMQ are enough, and are needed."""

import re
import secrets

from hooks import Hooks, Poster, event
from process import ROOT, wait_until
from readiness import wait_trouble


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


def test_a_right_to_publish_that_is_missing_is_named_until_it_is_there(sim, rabbit, workspace):
    """RabbitMQ says so when a message comes, not before, and answers everything else."""
    scene = Hooks(sim, workspace, {"account": 5})
    configure, write, read = rights(workspace.exchange)
    url = user_with(rabbit, configure, write.replace("?", ""), read)  # the queues, but not the exchange
    sluice = workspace.sluice(scene.config(broker={"url": url}))
    for what in ("publishing", "feed account"):
        wait_trouble(sluice, what, "needs the right to write to exchange", workspace.exchange)
    permit(rabbit, url.partition("//")[2].partition(":")[0], configure, write, read)
    sluice.wait_ready(30)
    scene.wait_followed()
    scene.check_nothing_lost()
