"""The rights that docs/OPERATIONS.md asks for in RabbitMQ are enough, and are needed."""

import re
import secrets

from hooks import Hooks, Poster, event
from process import ROOT, wait_until


def rights(exchange):
    """What the page says, for that exchange: configure, write, read."""
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    line = re.search(r"rabbitmqctl set_permissions -p \S+ sluice '(\S+)' '(\S+)' '(\S+)'", text)
    return [one.replace("sluice", re.escape(exchange)) for one in line.groups()]


def user_with(rabbit, configure, write, read):
    """A user of those rights; gives the URL that logs in as him."""
    name = f"u-{secrets.token_hex(4)}"
    words = ", ".join('<<"' + one.replace("\\", "\\\\") + '">>' for one in (configure, write, read))
    rabbit.ctl("eval", f"rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"pass\">>, <<\"test\">>), "
                       f"rabbit_auth_backend_internal:set_permissions(<<\"{name}\">>, <<\"/\">>, {words}, <<\"test\">>).")
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
