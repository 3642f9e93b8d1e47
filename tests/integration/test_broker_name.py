"""RabbitMQ by a name with several addresses, as of a cluster's nodes. Run by root."""

import contextlib
import socket

from scene import Scene

NODES, DEAF = "rabbit.example.test", ("127.83.82.88", "127.83.82.89")


def asked(listener):
    """Whether anybody has connected."""
    with contextlib.suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False


def test_nodes_that_accept_and_say_nothing_do_not_hide_one_that_works(rabbit, names, sim, workspace):
    with contextlib.ExitStack() as stack:
        listeners = []
        for address in DEAF:
            listener = stack.enter_context(socket.create_server((address, rabbit.port)))
            listener.setblocking(False)
            listeners.append(listener)
        names.records = {(NODES, "A"): [*DEAF, "127.0.0.1"]}
        scene = Scene(sim, workspace)
        url = rabbit.url.replace("127.0.0.1", NODES)
        sluice = scene.sluice(start=False, broker={"url": url, "connect_timeout": "1s"})
        names.rule(sluice)
        sluice.start(30)
        assert any(asked(listener) for listener in listeners)
        scene.check_nothing_lost()
        assert sluice.stop() == 0
