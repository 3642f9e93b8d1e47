"""Makes a queue that RabbitMQ knows and cannot serve any more.

RabbitMQ 3.10 keeps a new quorum queue's name in two places and writes one of them half a second late
(see Rabbit.settle). Killed between the two it has the queue for ever after, lets it be declared
again, and neither gives nor takes a message of it.
"""

from process import wait_until

TRIES = 6
REMEDY = ("has to be deleted", "loses posted rows", "OPERATIONS.md")  # what sluice must say of one


def make_husk(rabbit, workspace, scene):
    """Kills the broker when its bulk queue is new and holds a run; gives the sluice that published the
    run, and the queue. It takes another try when the broker was quicker. The scene's project exports
    in full, so that there always is a run."""
    exchange = workspace.exchange
    for number in range(TRIES):
        workspace.exchange = f"{exchange}-{number}"
        queue = workspace.queues[1]
        ingest = scene.sluice(f"ingest-{number}", start=False, role="ingest",
                              broker={"connect_timeout": "3s"})
        ingest.start()
        wait_until(lambda: workspace.queue_depth("bulk"), 30, "messages in a new queue", 0.01)
        rabbit.kill()
        if not rabbit.knows(queue):
            return ingest, queue
        ingest.stop()
        workspace.client.drop_database(workspace.state_database)
        rabbit.start()
    raise AssertionError(f"no husk in {TRIES} tries")


def delete(rabbit, queue):
    """As an operator would. RabbitMQ takes five seconds to find out that a husk does not answer."""
    with rabbit.connect() as connection:
        connection.channel().queue_delete(queue)


def told(sluice, message, queue):
    """The log lines with this message that name the queue and what to do."""
    return [line for line in sluice.log_lines() if line["msg"] == message
            and all(words in line["error"] for words in (queue, *REMEDY))]
