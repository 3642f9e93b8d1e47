"""Posts while sluice reads its configuration anew: Dataverse does not try again where a connection was refused or
cut, and an event of a row that is read back would be lost."""

import http.client
import json
import pathlib
import signal
import socket
import threading
import time

from feeds import logged
from hooks import KEY, SECRET, Hooks, Poster, event
from process import wait_until

ROW = "60c4e274-0d87-4e11-80e5-00155db19e6d"


def reload(sluice):
    before = len(logged(sluice, "running"))
    sluice.reload()
    wait_until(lambda: len(logged(sluice, "running")) > before, 20, "the new configuration")


def post_over_reloads(sluice, post, arguments, answers, reloads, more):
    """Has a thread an argument call post with it and an event that ends it, while the configuration is read anew;
    after each time so many more posts are taken. Gives {answer: how often}."""
    end = threading.Event()
    threads = [threading.Thread(target=post, args=(one, end)) for one in arguments]
    for thread in threads:
        thread.start()
    for _ in range(reloads):
        reload(sluice)
        enough = answers.count(200) + more
        wait_until(lambda: answers.count(200) >= enough, 20, "posts after it")
    end.set()
    for thread in threads:
        thread.join()
    return {one: answers.count(one) for one in set(answers)}


def test_posts_go_on_while_the_configuration_is_read_anew(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 20})
    sluice = scene.sluice()
    poster, answers = Poster(scene.port), []

    def post(pause_s, end):
        while not end.is_set():
            try:
                answers.append(poster.send(event("account", ROW))[0])
            except (OSError, http.client.HTTPException) as error:
                answers.append(repr(error))
            time.sleep(pause_s if answers[-1] == 200 else 0.1)  # who is put off does not hammer

    counts = post_over_reloads(sluice, post, [0.002] * 3, answers, reloads=3, more=20)
    # 503: it was about to stop; Dataverse tries such a post again.
    assert set(counts) <= {200, 503} and counts[200] > 50, counts
    assert counts.get(503, 0) < counts[200] / 5


def test_a_client_that_keeps_its_connection_is_answered_over_reloads(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 20})
    sluice = scene.sluice()
    answers = []
    body, headers = json.dumps(event("account", ROW)), {"Content-Type": "application/json", KEY: SECRET}

    def post(pause_s, end):
        line = http.client.HTTPConnection("127.0.0.1", scene.port, timeout=30)
        while not end.is_set():
            try:
                line.request("POST", "/webhook/hook", body, headers)
                answer = line.getresponse()  # one that says "Connection: close" has the next post connect anew
                answer.read()
                answers.append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                answers.append(repr(error))
                line.close()
            time.sleep(pause_s if answers[-1] == 200 else 0.1)
        line.close()

    counts = post_over_reloads(sluice, post, (0.001, 0.003, 0.01, 0.03, 0.1, 0.3), answers, reloads=4, more=50)
    assert set(counts) <= {200, 503} and counts[200] > 300, counts
    assert counts.get(503, 0) < counts[200] / 50, counts


def test_a_listener_moves_to_an_address_that_has_the_old_one_in_it(sim, workspace):
    scene = Hooks(sim, workspace, {"account": 20})
    sluice = scene.sluice()
    for host in ("0.0.0.0", "127.0.0.1"):
        sluice.config["sources"]["hook"]["listen"] = f"{host}:{scene.port}"
        sluice.write_config()
        reload(sluice)
        assert logged(sluice, "listening")[-1]["address"] == f"{host}:{scene.port}"
        assert Poster(scene.port).send(event("account", ROW))[0] == 200
    assert not logged(sluice, "cannot start as configured anew, going back")


def is_read(line):
    """Whether the server has taken all that was sent to it on that connection, by the kernel's word."""
    ends = [f":{end[1]:04X}" for end in (line.getpeername(), line.getsockname())]
    for fields in map(str.split, pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]):
        if [fields[1][-5:], fields[2][-5:]] == ends:
            return fields[4].endswith(":00000000") and fields[9] != "0"
    return False


def answer_to(line, rest):
    try:
        line.sendall(rest)
        return line.recv(1000)
    except OSError:
        return b""


def test_a_post_that_is_half_there_is_taken_before_a_reload_or_the_end(sim, workspace):
    scene = Hooks(sim, workspace, read_back={"new_visit": 0})
    sluice = scene.sluice()
    visits = scene.create(2, "new_visit")

    def half_a_post(row):
        body = json.dumps(event("new_visit", row, "Create")).encode()
        head = (f"POST /webhook/hook HTTP/1.1\r\nHost: x\r\n{KEY}: {SECRET}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
        line = socket.create_connection(("127.0.0.1", scene.port), timeout=20)
        line.sendall(head.encode() + body[:20])
        return line, body[20:]

    missed = []
    for row, stop in ((visits[0], sluice.reload), (visits[1], lambda: sluice.signal(signal.SIGTERM))):
        line, rest = half_a_post(row)
        wait_until(lambda: is_read(line), 10, "the first half being read", 0.01)
        began = time.monotonic()
        stop()
        time.sleep(0.2)
        if not answer_to(line, rest).startswith(b"HTTP/1.1 200 "):
            # The rest may take a second; the machine may stand still for longer.
            assert time.monotonic() - began > 0.9, "it was cut off"
            missed.append(row)
        line.close()
        wait_until(lambda: len(logged(sluice, "running")) == 2, 20, "the new configuration")
    assert sluice.wait(20) == 0
    sluice.start(ready_timeout_s=20)
    wait_until(lambda: set(visits) - set(missed) <= set(scene.live("new_visit")), 20, "the rows that were taken")
    for row in visits:  # those that were missed, and a run that is not cut off
        assert Poster(scene.port).send(event("new_visit", row, "Create"))[0] == 200
    scene.check_nothing_lost()
