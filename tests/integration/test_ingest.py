"""Rows posted over HTTP: what is answered 202 is in MongoDB, the rest is refused or put off, exactly."""

import datetime
import http.client
import json
import signal
import ssl
import threading
import time

import pytest
from bson import Decimal128, Int64

import books
from certificates import Authority
from feeds import logged
from process import free_port, wait_until
from readiness import wait_trouble
from workspace import Workspace

TOKEN = "the-token-of-the-tests"
TYPES = {"amount": "decimal", "count": "int", "since": "date"}
FEED = {"source": "in", "collection": "things", "key": ["id"], "types": TYPES, "run_span": "500ms"}
JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"


class Poster:
    """A client of /ingest/FEED at a port, one connection for all its posts."""

    def __init__(self, port, feed="things", token=TOKEN, tls=None):
        self.path = f"/ingest/{feed}"
        self.token, self.put_off = token, 0
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=40, context=tls) \
            if tls else http.client.HTTPConnection("127.0.0.1", port, timeout=40)

    def send(self, body, kind=JSON, **headers):
        """(status, answer, headers) of one post. A body that is no text is sent as JSON."""
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if kind:
            headers["Content-Type"] = kind
        try:
            self.connection.request("POST", self.path, body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except BaseException:
            self.connection.close()  # the next post connects anew
            raise
        return answer.status, json.loads(text), answer.headers

    def accepted(self, body, kind=JSON):
        """The answer of a post that must be accepted; again, as it asks for, where RabbitMQ stood still for
        two seconds, as it may on a shared machine."""
        for _ in range(10):
            status, answer, _ = self.send(body, kind)
            if status != 503 or "RabbitMQ" not in answer.get("error", ""):
                break
            self.put_off += 1
            time.sleep(0.5)
        assert status == 202, (status, answer)
        return answer

    def insist(self, body, seconds=30, kind=JSON):
        """Posts until it is accepted, as a client should; gives how often it was put off."""
        put_off = 0
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, answer, _ = self.send(body, kind)
            except (OSError, http.client.HTTPException):
                status, answer = 503, "no answer"  # not there, or gone
            if status == 202:
                return put_off
            assert status == 503 and time.monotonic() < deadline, (status, answer)
            put_off += 1
            time.sleep(0.05)


class Scene:
    """A sluice with an ingest source, and its posters."""

    def __init__(self, workspace, feeds=None, start=True, **source):
        self.workspace = workspace
        self.port = free_port()
        self.source = {"type": "ingest", "listen": f"127.0.0.1:{self.port}", "token": TOKEN, **source}
        self.config = workspace.config(sources={"in": self.source}, feeds=feeds or {"things": FEED},
                                       log={"form": "json"})
        self.sluice = workspace.sluice(self.config, start=start,
                                       ready_timeout_s=30 if start else None)

    def poster(self, **options):
        return Poster(self.port, **options)

    def first_answer(self, row):
        """That to the first post that sluice hears, while it starts."""
        for _ in range(2000):
            try:
                return self.poster().send(row)
            except OSError:
                time.sleep(0.005)
        raise TimeoutError("nobody listens")

    def counted(self, outcome, feed="things"):
        return self.sluice.metrics().get("sluice_ingest_posts_total", feed=feed, outcome=outcome)

    @property
    def things(self):
        return self.workspace.db["things"]

    def documents(self):
        """{_id: document without _sluice} of those that are not deleted."""
        found = {one.pop("_id"): one for one in
                 self.things.find({"_sluice.deleted": {"$exists": False}})}
        for one in found.values():
            one.pop("_sluice")
        return found

    def wait_documents(self, expected, timeout_s=20):
        try:
            wait_until(lambda: self.documents() == expected, timeout_s, "the documents")
        except TimeoutError:
            assert self.documents() == expected

    def wait_runs_done(self, timeout_s=20):
        """Waits until the books of every run that ended are closed; gives the runs."""
        runs = self.workspace.state["runs"]
        wait_until(lambda: runs.count_documents({}) and
                   not runs.count_documents({"state": {"$ne": "done"}}), timeout_s, "the books")
        return list(runs.find())


def test_each_form_becomes_the_same_documents(workspace):
    scene = Scene(workspace)
    poster = scene.poster()
    day = datetime.datetime(2026, 11, 22)
    answer = poster.accepted({"id": "a", "amount": 1.5, "count": "7", "since": "2026-11-22", "x": "1"})
    assert answer["accepted"] == 1 and answer["run"].startswith("things-")
    assert poster.accepted([{"id": "b", "amount": "2.50"}, {"id": "c"}])["accepted"] == 2
    assert poster.accepted('{"id":"d","deep":{"x":[1,2.0]}}\n{"id":"e"}\n', NDJSON)["accepted"] == 2
    text = 'ID,Amount,count,since,note\r\nf,1.50,7,2026-11-22,"a, ""b"""\r\ng,,,,\r\n'
    assert poster.accepted(text, CSV)["accepted"] == 2
    for empty in ("[]", ""):
        assert poster.accepted(empty) == {"accepted": 0}
    scene.wait_documents({
        "a": {"id": "a", "amount": Decimal128("1.5"), "count": Int64(7), "since": day, "x": "1"},
        "b": {"id": "b", "amount": Decimal128("2.50")},
        "c": {"id": "c"},
        "d": {"id": "d", "deep": {"x": [1, 2.0]}},
        "e": {"id": "e"},
        "f": {"ID": "f", "Amount": Decimal128("1.50"), "count": 7, "since": day, "note": 'a, "b"'},
        "g": {"ID": "g", "note": ""},
    })
    runs = scene.wait_runs_done()
    assert poster.put_off or sum(run["entities"][0]["read"] for run in runs) == 7
    assert books.check_all(workspace) == len(runs)
    status = json.loads(scene.sluice.ops("/status")[1])
    assert '"accepted":6' in json.dumps(status).replace(" ", ""), status
    metrics = scene.sluice.metrics()
    assert metrics.value("sluice_ingest_rows_total", feed="things") == 7


@pytest.mark.parametrize("kind, body, status, wanted", [
    (JSON, '[{"id":"a"},{"id":"b"},\n{"id":"c","amount":"much"}]', 400,
     {"row": 3, "column": "amount", "line": 2}),
    (NDJSON, '{"id":"a"}\n{"id":"b"}\n{"x":1}\n', 400, {"row": 3, "column": "id", "line": 3}),
    (CSV, "id,count\na,1\nb,x\n", 400, {"row": 2, "column": "count", "line": 3}),
    (CSV, "count\n1\n", 400, {"column": "id", "line": 1}),
    (CSV, "id,_sluice\na,1\n", 400, {"column": "_sluice", "line": 1}),
    (JSON, r'[{"id":"\ud83d\ude00"},{"id":"\ud83d\u0041"}]', 400,
     {"row": 2, "column": "id", "line": 1}),
    (NDJSON, r'{"id":"\ud83d"}', 400, {"row": 1, "column": "id", "line": 1}),
    (JSON, '{"id":"a","_id":"b"}', 400, {"row": 1, "column": "_id", "line": 1}),
    (JSON, '[{"id":"a"},{"id":', 400, {"row": 2}),
    (JSON, "[" * 1_000_000, 400, {"line": 1}),
    ("text/plain", "hello", 415, {}),
    (None, "{}", 415, {}),
])
def test_what_is_wrong_is_refused_whole(refusing, kind, body, status, wanted):
    poster = refusing.poster()
    got, answer, _ = poster.send(body, kind)
    assert got == status, answer
    assert wanted.items() <= answer.items(), answer
    assert len(answer["error"]) > 10
    if "row" in wanted:
        mark = "," if "column '" in answer["error"] else ":"
        assert answer["error"].startswith(f"row {wanted['row']}{mark} ")
    if "column" in wanted:
        assert wanted["column"] in answer["error"]
    poster.accepted({"id": "good"})
    wait_until(lambda: list(refusing.documents()) == ["good"], 10, "the good one alone")


@pytest.fixture(scope="module")
def refusing(tmp_path_factory, rabbit, mongo):
    """One sluice for all that is refused."""
    space = Workspace(tmp_path_factory.mktemp("refusing"), rabbit, mongo)
    try:
        yield Scene(space, max_body="1200KB")
    finally:
        space.close()


def test_other_refusals(refusing):
    poster = refusing.poster()
    assert refusing.poster(feed="thongs").send("{}")[0] == 404
    assert "thongs" in refusing.poster(feed="thongs").send("{}")[1]["error"]
    assert poster.send("{}", Content_Encoding="gzip")[0] == 415
    assert poster.send('{"id":"' + "x" * 1_300_000 + '"}')[0] == 413
    for token in (None, "", "wrong", TOKEN + "x", TOKEN[:-1]):
        stranger = refusing.poster(token=token)
        assert stranger.send("{}")[0] == 401
        assert refusing.poster(feed="thongs", token=token).send("{}")[0] == 401  # tells nothing
    assert poster.send("{}", Authorization=f"Basic {TOKEN}")[0] == 401
    assert poster.send({"id": "good"}, Authorization=f"bearer {TOKEN}")[0] == 202
    strangers = logged(refusing.sluice, "a post showed no token that is known (said once a minute at "
                                        "most)")
    assert len(strangers) == 1
    assert refusing.sluice.metrics().value("sluice_ingest_unauthorized_total") == 11
    assert TOKEN not in refusing.sluice.log_path.read_text()


def refuses(poster):
    """Whether it answers, and does not take the token."""
    try:
        return poster.send("{}")[0] == 401
    except (OSError, http.client.HTTPException):
        return False


def test_two_tokens_while_posters_change_over(workspace):
    scene = Scene(workspace, old_token="the-one-before")
    scene.poster().accepted({"id": "new"})
    scene.poster(token="the-one-before").accepted({"id": "old"})
    assert scene.poster(token="another").send("{}")[0] == 401
    scene.wait_documents({"new": {"id": "new"}, "old": {"id": "old"}})
    source = scene.sluice.config["sources"]["in"]
    del source["old_token"]
    scene.sluice.write_config()
    scene.sluice.reload()
    wait_until(lambda: refuses(scene.poster(token="the-one-before")), 20, "the old token's end")
    scene.poster().insist({"id": "newer"})


def test_the_newest_version_wins_in_any_order(workspace):
    feed = {**FEED, "version": "rev"}
    scene = Scene(workspace, {"things": feed})
    poster = scene.poster()
    poster.accepted([{"id": "a", "rev": 5, "x": 5}, {"id": "a", "rev": 3, "x": 3}])
    poster.accepted({"id": "a", "rev": 4, "x": 4})
    poster.accepted("id,rev,x\nb,2,2\nb,9,9\nb,8,8\n", CSV)
    poster.accepted([{"id": "c", "rev": 1}, {"id": "c", "rev": 3, "_delete": True},
                     {"id": "c", "rev": 2}])
    poster.accepted([{"id": "d", "rev": 2, "_delete": True}, {"id": "d", "rev": 3, "back": True}])
    poster.accepted({"id": "e", "rev": "2026-11-22T10:00:00Z", "x": 2})
    poster.accepted({"id": "e", "rev": "2026-11-22T09:00:00Z", "x": 1})
    for wrong in ({"id": "f"}, {"id": "f", "rev": -1}, {"id": "f", "rev": 1 << 53}, {"id": "f", "rev": 1.5}):
        status, answer, _ = poster.send([wrong])
        assert status == 400 and answer["column"] == "rev", answer
    scene.wait_documents({"a": {"id": "a", "rev": 5, "x": 5}, "b": {"id": "b", "rev": "9", "x": "9"},
                          "d": {"id": "d", "rev": 3, "back": True},
                          "e": {"id": "e", "rev": "2026-11-22T10:00:00Z", "x": 2}})
    assert scene.things.find_one({"_id": "c"})["_sluice"]["v"] == 3
    scene.wait_runs_done()
    books.check_all(workspace)


def test_of_two_refused_versions_of_a_key_the_newer_one_is_replayed(workspace):
    workspace.db.create_collection("things", validator={"count": {"$lt": 900}})
    scene = Scene(workspace, {"things": {**FEED, "version": "rev", "run_span": "60s"}})  # one run
    poster, letters = scene.poster(), workspace.state["dead"]
    refused = scene.sluice.metrics
    for number, rev in enumerate((5, 3), 1):
        poster.accepted({"id": "a", "rev": rev, "count": 1000 + rev})
        wait_until(lambda: refused().get("sluice_rows_total", feed="things", stage="dead") >= number, 20, "its letter")
    assert [one["v"] for one in letters.find()] == [5]
    workspace.db.command("collMod", "things", validator={})
    replay = scene.sluice.command("dead", "replay", "--all")
    assert replay.returncode == 0, replay.stderr
    assert letters.count_documents({}) == 0
    scene.wait_documents({"a": {"id": "a", "rev": 5, "count": 1005}})


def test_the_last_to_arrive_wins_without_a_version(workspace):
    scene = Scene(workspace)
    poster = scene.poster()
    began = time.time()
    for value in range(50):
        poster.accepted({"id": "a", "x": value})
    poster.accepted([{"id": "b", "x": value} for value in range(10)])
    poster.accepted([{"id": "c", "x": 1}, {"id": "c", "_delete": True}])
    poster.accepted("id,_delete\nd,yes\n", CSV)
    poster.accepted({"id": "d", "x": 1})
    scene.wait_documents({"a": {"id": "a", "x": 49}, "b": {"id": "b", "x": 9}, "d": {"id": "d", "x": 1}})
    version = scene.things.find_one({"_id": "a"})["_sluice"]["v"]
    assert began - 1 < (version >> 11) / 1000 < time.time() + 5


def test_versions_that_do_not_compare_with_those_stored_are_put_off(workspace):
    scene = Scene(workspace)
    scene.poster().accepted([{"id": "a", "rev": 1}, {"id": "b", "rev": 1}])
    scene.wait_documents({"a": {"id": "a", "rev": 1}, "b": {"id": "b", "rev": 1}})

    def restart(**changes):
        scene.sluice.config["feeds"]["things"].update(changes)
        scene.sluice.write_config()
        assert scene.sluice.restart() == 0

    restart(version="rev")
    told = wait_trouble(scene.sluice, "feed things")
    assert 'versions by order of arrival, and posts now bring them by the column "rev"' in told
    status, answer, headers = scene.poster().send({"id": "a", "rev": 2})
    assert status == 503 and "drop that one and post its rows again" in answer["error"] and headers["Retry-After"]
    scene.things.drop()
    scene.sluice.wait_for(lambda: scene.poster().send({"id": "a", "rev": 2})[0] == 202, 30, "a fresh start")
    scene.wait_documents({"a": {"id": "a", "rev": 2}})
    # What arrives is newer than what a small number says.
    del scene.sluice.config["feeds"]["things"]["version"]
    restart()
    scene.sluice.wait_ready()
    scene.poster().accepted({"id": "a", "rev": 1})
    scene.wait_documents({"a": {"id": "a", "rev": 1}})


def test_the_first_post_is_put_off_where_versions_do_not_compare(workspace):
    scene = Scene(workspace)
    scene.poster().accepted({"id": "a", "rev": 1})
    scene.wait_documents({"a": {"id": "a", "rev": 1}})
    scene.sluice.config["feeds"]["things"]["version"] = "rev"
    scene.sluice.write_config()
    assert scene.sluice.stop() == 0
    scene.sluice.start(None)
    status, answer, _ = scene.first_answer({"id": "a", "rev": 2})
    assert status == 503 and "cannot be compared" in answer["error"]


def test_nothing_is_taken_before_it_is_known_whether_versions_compare(own_mongo, workspace):
    scene = Scene(workspace, {"things": {**FEED, "version": "rev"}})
    scene.poster().accepted({"id": "a", "rev": 1})
    scene.wait_documents({"a": {"id": "a", "rev": 1}})
    assert scene.sluice.stop() == 0
    own_mongo.kill()
    scene.sluice.start(None)
    status, answer, headers = scene.first_answer({"id": "a", "rev": 2})
    assert status == 503 and "not known yet" in answer["error"] and headers["Retry-After"]
    own_mongo.start()
    scene.poster().insist({"id": "a", "rev": 2}, 60)
    scene.wait_documents({"a": {"id": "a", "rev": 2}})


def test_a_process_with_the_setting_of_before_is_put_off(workspace):
    scene = Scene(workspace, {"things": {**FEED, "version": "rev"}})
    scene.poster().accepted({"id": "a", "rev": 1})
    scene.wait_documents({"a": {"id": "a", "rev": 1}})
    newer = Scene(workspace)
    newer.poster().insist({"id": "a", "rev": 1})
    wait_until(lambda: scene.poster().send({"id": "b", "rev": 1})[0] == 503, 40, "the older one's refusal")
    assert "cannot be compared" in wait_trouble(scene.sluice, "feed things")


def test_a_post_larger_than_many_batches_is_one(workspace):
    scene = Scene(workspace, max_body="32MiB")
    rows = [{"id": str(number), "text": "x" * 500} for number in range(5_000)]
    rows[3000]["text"] = "y" * 2_000_000  # larger than a batch: it travels alone
    other = scene.poster()
    answers = []
    large = threading.Thread(target=lambda: answers.append(scene.poster().accepted(rows)))
    large.start()
    for number in range(20):
        other.accepted({"id": f"other {number}"})  # is not held up behind it
    large.join()
    assert answers[0]["accepted"] == 5_000
    wait_until(lambda: scene.things.count_documents({}) == 5_020, 20, "all of them")
    rows[4_999]["amount"] = "wrong"
    status, answer, _ = scene.poster().send([{**row, "id": "never " + row["id"]} for row in rows])
    assert status == 400 and answer["row"] == 5_000
    assert scene.things.count_documents({}) == 5_020


def test_a_post_that_takes_longer_than_a_run_is_told_all_of_its_runs(workspace):
    scene = Scene(workspace, {"things": {**FEED, "run_span": "100ms"}})
    answer = scene.poster().accepted("".join(f'{{"id":"{number}","count":{number}}}\n' for number in range(60_000)), NDJSON)
    first, last = answer["first_run"], answer["run"]
    assert first < last and first[:-6] == last[:-6]
    read = {run["_id"]: run["entities"][0]["read"] for run in scene.wait_runs_done(40)}
    assert sorted(read) == [f"{first[:-6]}{number:06}" for number in range(int(first[-6:]), int(last[-6:]) + 1)]
    assert sum(read.values()) == 60_000
    assert "first_run" not in scene.poster().accepted({"id": "one"})


def test_eight_clients_at_once(workspace):
    scene = Scene(workspace)
    failures = []

    def post(client):
        poster = scene.poster()
        try:
            for number in range(200):
                poster.accepted([{"id": f"{client}-{number}", "x": number}, {"id": f"last {client}", "x": number}])
        except BaseException as error:  # noqa: BLE001 (told by the test)
            failures.append(error)

    clients = [threading.Thread(target=post, args=(client,)) for client in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not failures, failures[0]
    expected = {f"{client}-{number}": {"id": f"{client}-{number}", "x": number}
                for client in range(8) for number in range(200)}
    expected |= {f"last {client}": {"id": f"last {client}", "x": 199} for client in range(8)}
    scene.wait_documents(expected)
    scene.wait_runs_done()
    assert books.check_all(workspace) > 0
    batches = workspace.state["ledger"].count_documents({})
    assert batches < 8 * 200, "posts that come together share a batch"


def test_broker_away_puts_posts_off(own_rabbit, workspace):
    scene = Scene(workspace)
    poster = scene.poster()
    poster.accepted({"id": "before"})
    own_rabbit.settle(*workspace.queues[:2])
    scene.wait_documents({"before": {"id": "before"}})
    own_rabbit.kill()  # at once: one that is long in ending is known to be away before the first post
    began = time.monotonic()
    status, answer, headers = poster.send({"id": "during"})
    assert status == 503 and headers["Retry-After"] == "1" and "post it again" in answer["error"]
    assert 1 < time.monotonic() - began < 10
    took = []
    for _ in range(5):
        began = time.monotonic()
        assert poster.send({"id": "during"})[0] == 503
        took.append(time.monotonic() - began)
    assert min(took) < 1  # known by now
    wait_trouble(scene.sluice, "feed things", "put off")
    assert scene.counted("unsure") == 1 and scene.counted("behind") == 5
    own_rabbit.start()
    assert poster.insist({"id": "during", "x": 1}, 60) >= 0
    poster.accepted({"id": "after"})
    scene.wait_documents({"before": {"id": "before"}, "during": {"id": "during", "x": 1},
                          "after": {"id": "after"}})


def test_mongodb_away_stops_posts_with_a_version_never(own_mongo, workspace):
    scene = Scene(workspace, {"things": {**FEED, "version": "rev"}, "free": {**FEED, "collection": "free"}})
    versioned, free = scene.poster(), scene.poster(feed="free")
    versioned.accepted({"id": "a", "rev": 1})
    free.insist({"id": "a"})
    own_mongo.kill()
    for rev in range(2, 30):
        versioned.accepted({"id": "a", "rev": rev})
        time.sleep(0.1)
    assert free.send({"id": "c"})[0] == 503  # nobody could tell what others gave meanwhile
    own_mongo.start()
    free.insist({"id": "c"})
    scene.wait_documents({"a": {"id": "a", "rev": 29}})
    wait_until(lambda: workspace.db["free"].count_documents({}) == 2, 20, "those without a version")


def test_killed_between_posts_loses_nothing(workspace):
    scene = Scene(workspace)
    accepted, counted, stop = {}, [], threading.Event()

    def wait_more(done, count):
        goal = len(done) + count
        wait_until(lambda: len(done) >= goal, 30, "more posts")

    def post(client):
        poster = scene.poster()
        number = 0
        while not stop.is_set():
            row = {"id": f"{client}-{number % 40}", "x": number}
            poster.insist(row, 60)
            accepted[row["id"]] = row
            counted.append(row)
            number += 1

    clients = [threading.Thread(target=post, args=(client,)) for client in range(3)]
    for client in clients:
        client.start()
    for _ in range(2):
        wait_more(counted, 60)
        scene.sluice.kill()
        scene.sluice.start(30)
    wait_more(counted, 60)
    stop.set()
    for client in clients:
        client.join()
    scene.wait_documents(accepted)


def test_the_last_to_arrive_wins_at_two_processes(workspace):
    """A client that posts here, then there, as behind a load balancer."""
    scene = Scene(workspace)
    port = free_port()
    other = json.loads(json.dumps(scene.config))
    other["sources"]["in"]["listen"] = f"127.0.0.1:{port}"
    other["ops"] = {"listen": f"127.0.0.1:{free_port()}"}
    workspace.sluice(other, ready_timeout_s=30)
    posters = [Poster(scene.port), Poster(port)]
    for poster in posters:
        poster.insist({"id": "a", "x": -1})
    for value in range(200):
        posters[value % 2 if value % 5 else 0].insist([{"id": "a", "x": value},
                                                       {"id": f"row {value % 20}", "x": value}])
    expected = {f"row {value % 20}": {"id": f"row {value % 20}", "x": value} for value in range(200)}
    scene.wait_documents({"a": {"id": "a", "x": 199}, **expected})


def test_posts_under_way_are_answered_at_the_end(workspace):
    scene = Scene(workspace)
    accepted, refused, ready = {}, [], threading.Barrier(7)

    def post(client):
        poster = scene.poster()
        poster.accepted({"id": f"{client}"})
        ready.wait()
        for number in range(10_000):
            row = {"id": f"{client}-{number}"}
            try:
                status, answer, _ = poster.send(row)
            except (OSError, http.client.HTTPException) as error:
                refused.append(error)
                return
            if status != 202:
                assert status == 503, answer
                refused.append(status)
                return
            accepted[row["id"]] = row

    clients = [threading.Thread(target=post, args=(client,)) for client in range(6)]
    for client in clients:
        client.start()
    ready.wait()
    wait_until(lambda: len(accepted) > 100, 20, "posts")
    scene.sluice.signal(signal.SIGTERM)
    for client in clients:
        client.join()
    assert len(refused) == 6
    assert scene.sluice.wait(30) == 0
    scene.sluice.start(30)
    expected = {**accepted, **{f"{client}": {"id": f"{client}"} for client in range(6)}}
    wait_until(lambda: expected.keys() <= scene.documents().keys(), 20, "all that was accepted")


def test_the_run_that_an_end_meets_is_not_cut_off(workspace):
    """Else nobody would see that its ledger does not close."""
    scene = Scene(workspace, {"things": {**FEED, "run_span": "1h", "ledger_deadline": "1s"}})
    run = scene.poster().accepted({"id": "a"})["run"]
    assert scene.sluice.stop() == 0
    one, = workspace.state["runs"].find()
    assert (one["_id"], one["state"], one["entities"][0]["read"]) == (run, "published", 1)
    scene.sluice.start(30)
    scene.wait_runs_done()
    assert books.check_all(workspace) == 1


def test_rows_that_were_not_applied_are_told_by_the_next_process_too(workspace):
    """The one that saw it may have ended before it could tell anybody; but not for ever. And of all runs:
    only one text of a notice waits to be told."""
    scene = Scene(workspace, {"things": {**FEED, "run_span": "100ms", "ledger_deadline": "2s"}}, start=False)
    scene.sluice.config["role"] = "ingest"
    scene.sluice.write_config()
    runs = workspace.state["runs"]

    def told():
        return [line["text"] for line in logged(scene.sluice, "alert") if line["kind"] == "notice"]
    scene.sluice.start(30)
    poster, names = scene.poster(), []
    for number in range(3):
        names.append(poster.accepted({"id": f"{number}"})["run"])
        wait_until(lambda: runs.count_documents({"state": "published"}) == number + 1, 20, "the run")
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_purge(f"{workspace.exchange}.fast")
    wait_until(lambda: len(told()) == 3, 30, "the alerts")
    for _ in range(2):
        scene.sluice.kill()
        scene.sluice.start(30)
        wait_until(lambda: not runs.count_documents({"unsettled": True}), 20, "the next process")
        wait_until(lambda: len(told()) == 4, 10, "one more for all of them")
    assert names[0] in told()[0] and all("sluice dead list" in text for text in told())
    for text in told()[2:]:
        assert "3 runs so far (3 rows" in text and names[0] in text and names[2] in text


def test_posts_over_tls(workspace, tmp_path):
    authority = Authority(tmp_path)
    certificate = authority.sign("sluice", "/CN=sluice", "IP:127.0.0.1")
    scene = Scene(workspace, tls={"certificate": str(certificate.certificate),
                                  "key": str(certificate.key)})
    context = ssl.create_default_context(cafile=str(authority.file))
    scene.poster(tls=context).accepted([{"id": "a"}, {"id": "b"}])
    with pytest.raises((OSError, http.client.HTTPException)):
        scene.poster().send({"id": "c"})
    scene.wait_documents({"a": {"id": "a"}, "b": {"id": "b"}})
