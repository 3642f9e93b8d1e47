"""The simulated Dataverse, seen from outside: pages, deltas, limits, switches, webhooks, the truth.

The witnesses are Python's own json and http modules; nothing of sluice takes part.
"""

import decimal
import http.client
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from programs import Sim

DEADLINE_S = 20
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACK = "odata.track-changes"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body, parse_float=decimal.Decimal)

    @property
    def code(self):
        return self.json["error"]["code"]


def fetch(url, body=None, headers=None):
    request = urllib.request.Request(url.replace(" ", "%20"), data=body, headers=headers or {})
    try:
        with OPENER.open(request, timeout=DEADLINE_S) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class Service:
    """The calls of a client, and the control calls."""

    def __init__(self, sim, client_id=None):
        self.sim = sim
        form = {"grant_type": "client_credentials", "client_id": client_id or sim.client_id,
                "client_secret": sim.client_secret, "scope": f"{sim.url}/.default"}
        answer = fetch(f"{sim.url}/{sim.tenant}/oauth2/v2.0/token",
                       urllib.parse.urlencode(form).encode())
        self.token = answer.json["access_token"]

    def get(self, path, prefer=None):
        url = path if path.startswith("http") else f"{self.sim.url}/api/data/v9.2/{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        if prefer:
            headers["Prefer"] = prefer
        return fetch(url, None, headers)

    def post(self, path, **body):
        return self.sim.post(f"dv/{path}", body)

    def switch(self, **switches):
        self.sim.post("switches", switches)

    def lines(self, path):
        answer = fetch(f"{self.sim.url}/_sim/dv/{path}")
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.splitlines()]

    def truth(self, table, **options):
        return self.lines("truth?" + urllib.parse.urlencode({"table": table, **options}))

    def stats(self):
        return self.sim.get("stats")["dataverse"]

    def user(self):
        return self.stats()["users"][self.sim.client_id]

    def poll(self, link, prefer=None):
        """Follows a link to its end; gives rows by id, ids of deletions, and the delta link."""
        rows, deleted = {}, []
        while True:
            answer = self.get(link, prefer)
            assert answer.status == 200, answer.body
            for row in answer.json["value"]:
                if "reason" in row:
                    assert row["@odata.context"].endswith("/$deletedEntity")
                    assert row["reason"] == "deleted"
                    deleted.append(row["id"])
                else:
                    key = next(value for name, value in reversed(row.items()) if name.endswith("id"))
                    assert row["@odata.etag"] == f'W/"{row["versionnumber"]}"'
                    rows[key] = row
            link = answer.json.get("@odata.nextLink")
            if not link:
                return rows, deleted, answer.json.get("@odata.deltaLink")


@pytest.fixture
def service(sim):
    return Service(sim)


def compare(row, fields):
    """A row of an answer says what the truth says, number by number, digit by digit."""
    for name, value in fields.items():
        if isinstance(value, dict):
            (kind, text), = value.items()
            if kind == "$date":
                text = text if "T" in str(row[name]) else text.removesuffix("T00:00:00Z")
                assert row[name] == text, name
            elif kind == "$numberLong":
                assert row[name] == int(text) and isinstance(row[name], int), name
            elif kind == "$numberDecimal":
                assert format(row[name], "f") == text, name
            else:
                assert float(row[name]) == float(text), name
        else:
            assert row[name] == value, name


def follow(state, rows, deleted):
    """What a reader does: the newest wins, and in one answer a row beats its deletion."""
    for key in deleted:
        if key not in rows:
            state.pop(key, None)
    state.update(rows)


# ---------------------------------------------------------------- reading


def test_a_full_read_in_pages_gives_every_row_as_the_truth_has_it(service):
    service.post("table", table="account", count=250)
    first = service.get("accounts", f"{TRACK},odata.maxpagesize=100")
    assert len(first.json["value"]) == 100 and "@odata.deltaLink" not in first.json
    assert first.headers["Preference-Applied"] == f"{TRACK},odata.maxpagesize=100"
    assert first.headers["OData-Version"] == "4.0" and first.headers["Date"]
    assert first.json["@odata.context"].endswith("/api/data/v9.2/$metadata#accounts")

    rows, deleted, link = service.poll("accounts", f"{TRACK},odata.maxpagesize=100")
    truth = {line["id"]: line for line in service.truth("account")}
    assert len(rows) == 250 and rows.keys() == truth.keys() and deleted == [] and link
    for key, row in rows.items():
        assert GUID.fullmatch(key)
        assert row["versionnumber"] == truth[key]["versionnumber"]
        compare(row, truth[key]["fields"])
    big = [row["new_externalid"] for row in rows.values() if row["new_externalid"]]
    assert max(abs(number) for number in big) > 2**53
    assert any(str(row["exchangerate"]).endswith("000000") for row in rows.values())
    assert any("\n" in (row["description"] or "") for row in rows.values())
    assert any(value is None for row in rows.values() for value in row.values())


def test_select_annotations_and_one_row(service):
    service.post("table", table="account", count=3)
    row = service.get("accounts?$select=name,_ownerid_value,creditlimit").json["value"][0]
    assert list(row) == ["@odata.etag", "name", "_ownerid_value", "creditlimit", "accountid"]
    wanted = ('odata.include-annotations="OData.Community.Display.V1.FormattedValue,'
              'Microsoft.Dynamics.CRM.lookuplogicalname"')
    one = service.get(f"accounts({row['accountid']})?$select=statecode,_ownerid_value", wanted).json
    assert one["statecode@OData.Community.Display.V1.FormattedValue"] in ("Active", "Inactive")
    assert one["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"
    assert one["@odata.etag"] == row["@odata.etag"]

    unknown = service.get("accounts(00000000-0000-4000-8000-000000000000)")
    assert (unknown.status, unknown.code) == (404, "0x80040217")
    assert unknown.json["error"]["message"].endswith("Does Not Exist")
    assert service.get("accounts?$select=nonsense").status == 400
    assert service.get("nonsense").status == 404
    assert fetch(f"{service.sim.url}/api/data/v9.2/accounts").status == 401


def test_a_delta_brings_changes_by_version_then_deletions(service):
    service.post("table", table="account", count=50)
    state, _, link = service.poll("accounts?$select=name,versionnumber", TRACK)
    assert service.poll(link)[:2] == ({}, [])

    changed = service.post("change", table="account", count=5, seed=7)["ids"]
    service.post("change", table="account", ids=[changed[0]])
    deleted = service.post("delete", table="account", count=3)["ids"]
    created = service.post("create", table="account", count=2)["ids"]
    service.post("delete", table="account", ids=[created[1]])
    service.post("recreate", table="account", ids=[deleted[0]])

    rows, gone, next_link = service.poll(link, "odata.maxpagesize=2")
    alive = [key for key in changed if key not in deleted[1:]]
    assert set(rows) == {*alive, created[0], deleted[0]}
    versions = [row["versionnumber"] for row in rows.values()]
    assert versions == sorted(versions)
    # The row that came back is told as deleted, too: the worst that a reader can meet.
    assert sorted(gone) == sorted([*deleted, created[1]])
    service.switch(dv_report_both=False, dv_deletions_first=True)
    first = service.get(link).json["value"]
    assert [("reason" in row) for row in first] == sorted(
        [("reason" in row) for row in first], reverse=True)
    assert deleted[0] not in service.poll(link)[1]
    assert int(service.get(f"accounts/$count?{link.split('&')[1]}").body.decode("utf-8-sig")) == len(
        first)
    assert service.poll(next_link)[:2] == ({}, [])


def test_a_reader_of_deltas_under_load_ends_with_the_truth(service):
    service.post("table", table="contact", count=300)
    state, _, link = service.poll("contacts", TRACK)
    load = service.post("load", tables=["contact"], per_s=800, seconds=1.5, seed=3,
                        mix={"update": 50, "create": 20, "delete": 20, "recreate": 10})
    assert load["changes_due"] == 1200
    polls, running = 0, True
    while running:
        running = service.stats()["loads_running"] > 0  # one poll more after the last change
        rows, deleted, link = service.poll(link, "odata.maxpagesize=50")
        follow(state, rows, deleted)
        polls += 1
    truth = {line["id"]: line for line in service.truth("contact")}
    alive = {key: line for key, line in truth.items() if not line.get("deleted")}
    assert polls > 3 and state.keys() == alive.keys()
    for key, row in state.items():
        assert row["versionnumber"] == alive[key]["versionnumber"]
        compare(row, alive[key]["fields"])

    changes = service.lines("changes?from=1")
    assert [change["seq"] for change in changes] == list(range(1, 1201))
    assert {change["op"] for change in changes} == {"update", "create", "delete", "recreate"}
    newest = {change["id"]: change for change in changes}
    assert all(truth[key]["versionnumber"] == change["versionnumber"]
               for key, change in newest.items())
    pace_s = (changes[-1]["at_ms"] - changes[0]["at_ms"]) / 1000
    assert 1.4 < pace_s < 5


def test_the_same_seed_gives_the_same_changes(service):
    def run():
        service.sim.post("reset")
        again = Service(service.sim)
        again.post("table", table="product", count=40)
        again.post("change", table="product", count=4, seed=9)
        again.post("load", tables=["product"], per_s=2000, seconds=0.05, seed=5)
        wait_for(lambda: again.stats()["loads_running"] == 0, "the load does not end")
        return [(c["id"], c["op"], c["versionnumber"]) for c in again.lines("changes?from=1")]

    first = run()
    assert len(first) == 104 and run() == first


def test_what_does_not_go_with_change_tracking(service):
    service.post("table", table="account", count=1)
    for option in ("$filter=statecode eq 0", "$orderby=name", "$expand=x", "$top=1"):
        answer = service.get(f"accounts?{option}", TRACK)
        name = option.split("=")[0]
        assert answer.status == 400 and answer.json["error"]["message"] == (
            f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.')
    service.post("table", table="new_tag", count=1, tracking=False)
    off = service.get("new_tags", TRACK)
    assert off.status == 400 and "Change tracking is not enabled" in off.json["error"]["message"]
    service.switch(dv_no_org_read=True)
    refused = service.get("accounts", TRACK)
    assert (refused.status, refused.code) == (403, "0x80040220")
    assert "prvReadAccount" in refused.json["error"]["message"]


def test_tokens_expire_by_call_by_age_and_by_metadata(service):
    service.post("table", table="account", count=2)
    _, _, link = service.poll("accounts", TRACK)
    service.post("expire")
    expired = service.get(link)
    assert (expired.status, expired.code) == (400, "0x80044352")
    service.switch(dv_expired_status=410)
    assert service.get(link).status == 410

    rows, _, link = service.poll("accounts", TRACK)
    assert "new_extra" not in next(iter(rows.values()))
    service.post("metadata", table="account", add_column="new_extra", type="Integer")
    assert service.get(link).code == "0x80044352"
    rows, _, link = service.poll("accounts", TRACK)
    assert {row["new_extra"] for row in rows.values()} == {None}
    changed = service.post("change", table="account", count=2)["ids"]
    assert len(changed) == 2 and service.get(link).status == 200

    service.switch(dv_token_seconds=1)
    wait_for(lambda: service.get(link).status == 410, "the token does not grow old")
    assert service.get(link.replace("$deltatoken=9", "$deltatoken=x")).status == 400
    assert service.get("accounts?$skiptoken=<cookie />").status == 400


def test_metadata_who_am_i_and_privileges(service):
    service.post("table", table="account", count=1)
    service.post("table", table="new_tag", count=1, tracking=False, trackable=False)
    service.post("table", tables_count=3, count=10)
    service.post("table", table="new_thing", columns=[{"name": "new_x", "type": "Decimal"},
                                                      {"name": "new_who", "type": "Lookup",
                                                       "target": "contact"}], count=1)
    definition = service.get(
        "EntityDefinitions(LogicalName='account')?$select=LogicalName,EntitySetName,"
        "PrimaryIdAttribute,ChangeTrackingEnabled,CanChangeTrackingBeEnabled,Privileges"
        "&$expand=Attributes($select=LogicalName,AttributeType,AttributeOf,IsValidForRead)").json
    assert definition["EntitySetName"] == "accounts" and definition["ChangeTrackingEnabled"] is True
    assert definition["PrimaryIdAttribute"] == "accountid"
    assert definition["CanChangeTrackingBeEnabled"]["Value"] is True
    assert "prvReadAccount" in [p["Name"] for p in definition["Privileges"]
                                if p["PrivilegeType"] == "Read"]
    types = {a["LogicalName"]: a["AttributeType"] for a in definition["Attributes"]
             if not a["AttributeOf"]}
    assert types["creditlimit"] == "Money" and types["ownerid"] == "Owner"
    assert types["new_tags"] == "Virtual" and types["versionnumber"] == "BigInt"
    assert any(a["AttributeOf"] == "ownerid" for a in definition["Attributes"])
    assert service.get("EntityDefinitions(LogicalName='nonsense')").status == 404

    tag = service.get("EntityDefinitions(LogicalName='new_tag')").json
    assert not tag["ChangeTrackingEnabled"] and not tag["CanChangeTrackingBeEnabled"]["Value"]

    tracked = service.get("EntityDefinitions?$filter=ChangeTrackingEnabled eq true").json["value"]
    assert {d["LogicalName"] for d in tracked} == {"account", "t000", "t001", "t002", "new_thing"}
    who = service.get("WhoAmI").json
    read = (f"systemusers({who['UserId']})/Microsoft.Dynamics.CRM."
            "RetrieveUserPrivilegeByPrivilegeName(PrivilegeName='prvReadAccount')")
    assert service.get(read).json["RolePrivileges"][0]["Depth"] == "Global"
    service.switch(dv_no_org_read=True)
    assert service.get(read).json["RolePrivileges"][0]["Depth"] == "Basic"
    service.switch(dv_no_org_read=None)
    row = service.get("new_things").json["value"][0]
    assert {"new_x", "_new_who_value", "new_thingid", "modifiedon"} <= row.keys()


def test_times_with_milliseconds_and_deltas_in_one_page(service):
    service.post("table", table="account", count=30)
    _, _, link = service.poll("accounts", TRACK)
    service.post("change", table="account", count=20)
    service.switch(dv_modified_ms=True, dv_delta_paged=False)
    answer = service.get(link, "odata.maxpagesize=3").json
    assert len(answer["value"]) == 20 and "@odata.nextLink" not in answer
    assert any("." in row["modifiedon"] for row in answer["value"])
    times = {line["fields"]["modifiedon"]["$date"] for line in service.truth("account")}
    assert times >= {row["modifiedon"] for row in answer["value"]}
    service.switch(dv_modified_ms=False)
    assert all("." not in row["modifiedon"] for row in service.get(link).json["value"])


def test_several_application_users_and_a_file_of_calls(tmp_path):
    calls = [{"path": "/_sim/dv/table", "body": {"table": "account", "count": 5}},
             {"path": "/_sim/dv/delete", "body": {"table": "account", "count": 2}}]
    (tmp_path / "load.json").write_text(json.dumps(calls))
    second, third = "aaaaaaaa-0000-4000-8000-000000000002", "aaaaaaaa-0000-4000-8000-000000000003"
    sim = Sim(tmp_path / "sim", args=["--load", tmp_path / "load.json",
                                      "--client-id", f"{second},{third}"])
    sim.start()
    try:
        first, other = Service(sim), Service(sim, third)
        first.switch(dv_limit_requests=2)
        assert [first.get("accounts").status for _ in range(3)] == [200, 200, 429]
        assert len(other.get("accounts").json["value"]) == 3
        users = first.stats()["users"]
        assert {key: user["requests"] for key, user in users.items()} == {
            sim.client_id: 2, second: 0, third: 1}
        assert first.get("WhoAmI").status == 429
        assert sum(line.get("deleted", False) for line in first.truth("account", fields=0)) == 2
    finally:
        sim.stop()
    assert not sim.sanitizer_report()


# ---------------------------------------------------------------- limits and mischief


def test_the_three_limits_are_kept_and_counted(service):
    service.post("table", table="account", count=1)
    service.switch(dv_limit_requests=5, dv_limit_window_ms=2000)
    answers = [service.get("WhoAmI") for _ in range(8)]
    assert [a.status for a in answers] == [200] * 5 + [429] * 3
    assert answers[0].headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "4"
    assert answers[0].headers["x-ms-ratelimit-time-remaining-xrm-requests"].startswith("1,199.9")
    assert answers[5].code == "0x80072322" and 1 <= int(answers[5].headers["Retry-After"]) <= 3
    assert service.user()["too_early"] == 2
    wait_for(lambda: service.get("WhoAmI").status == 200, "the window does not slide")

    service.switch(dv_limit_requests=8000, dv_limit_execution_ms=50, dv_cost_ms=60)
    wait_for(lambda: service.get("WhoAmI").status == 200, "the window does not slide")
    busy = service.get("WhoAmI")
    assert (busy.status, busy.code) == (429, "0x80072321")
    assert busy.headers["x-ms-ratelimit-burst-remaining-xrm-requests"].startswith("7,99")

    service.switch(dv_limit_execution_ms=10**9, dv_limit_concurrency=2, dv_delay_ms=300)
    threads = [threading.Thread(target=service.get, args=("WhoAmI",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    user = service.user()
    assert user["throttled"]["0x80072326"] == 2 and user["most_running"] == 2
    assert user["most_requests"] >= 5 and user["throttled"]["0x80072322"] >= 3


def test_forced_failures(service):
    service.post("table", table="account", count=4)
    service.switch(dv_429_next=1, dv_429_code="0x80072326", dv_retry_after=7)
    throttled = service.get("accounts")
    assert (throttled.status, throttled.code) == (429, "0x80072326")
    assert throttled.headers["Retry-After"] == "7"
    service.switch(dv_503_next=1, dv_retry_after=-1)
    away = service.get("accounts")
    assert away.status == 503 and "Retry-After" not in away.headers
    service.switch(dv_500_next=1)
    assert service.get("accounts").status == 500
    service.switch(dv_redirect_next=1, dv_redirect_to="http://127.0.0.2:9/elsewhere")
    redirect = service.get("accounts")
    assert redirect.status == 302 and redirect.headers["Location"] == "http://127.0.0.2:9/elsewhere"
    service.switch(dv_html_next=1)
    assert b"<html>" in service.get("accounts").body
    service.switch(dv_malformed_next=1)
    with pytest.raises(ValueError):
        service.get("accounts").json
    service.switch(dv_cut_body_next=1)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        service.get("accounts")
    service.switch(dv_next_link_host="127.0.0.2:9")
    page = service.get("accounts", f"{TRACK},odata.maxpagesize=2").json
    assert page["@odata.nextLink"].startswith("http://127.0.0.2:9/api/data/v9.2/accounts?")
    service.switch(dv_next_link_host=None, dv_both_links=True)
    page = service.get("accounts", f"{TRACK},odata.maxpagesize=2").json
    assert "@odata.nextLink" in page and "@odata.deltaLink" in page
    service.switch(token_lie="html")
    with pytest.raises(ValueError):
        Service(service.sim)
    service.switch(token_lie="no_token")
    with pytest.raises(KeyError):
        Service(service.sim)


def test_a_token_that_follows_a_link_to_another_host_is_noticed_there(service, tmp_path):
    other = Sim(tmp_path / "other")
    other.start()
    try:
        service.post("table", table="account", count=4)
        service.switch(dv_next_link_host=f"127.0.0.1:{other.port}")
        link = service.get("accounts", f"{TRACK},odata.maxpagesize=2").json["@odata.nextLink"]
        assert other.get("stats")["bearer_foreign"] == 0
        assert service.get(link).status == 401
        assert service.get(f"{other.url}/elsewhere").status == 404
        assert other.get("stats")["bearer_foreign"] == 2
    finally:
        other.stop()
    service.switch(revoke_tokens=True)
    assert service.get("WhoAmI").status == 401
    assert service.sim.get("stats")["bearer_foreign"] == 0


def test_spoiled_rows_and_a_slow_body(service):
    service.post("table", table="account", count=3)
    service.switch(dv_wrong_type_next=1)
    rows = service.get("accounts").json["value"]
    assert ["twelve" in row.values() for row in rows] == [True, False, False]
    service.switch(dv_no_id_next=1)
    assert ["accountid" in row for row in service.get("accounts").json["value"]] == [
        False, True, True]
    service.switch(dv_huge_text_next=1, dv_huge_text_bytes=300000)
    assert service.get("accounts").json["value"][0]["name"] == "x" * 300000
    service.switch(dv_slow_body=20000)
    begun = time.monotonic()
    size = len(service.get("accounts").body)
    assert time.monotonic() - begun > 0.7 * size / 20000 > 0.1


# ---------------------------------------------------------------- webhooks and associations


class Receiver:
    """A webhook's other end: keeps what comes, and answers as told. With files it speaks TLS."""

    def __init__(self, certificate=None, key=None):
        receiver = self
        self.posts, self.answers, self.lock = [], [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    receiver.posts.append((self.path, dict(self.headers.items()), body))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' * bool(certificate)}://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self):
        return [json.loads(body, parse_float=decimal.Decimal) for _, _, body in self.posts]


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.server.shutdown()
    running.server.server_close()


def sent(service, receiver, count):
    wait_for(lambda: len(receiver.posts) >= count, f"{len(receiver.posts)} of {count} posts")
    wait_for(lambda: (h := service.sim.get("dv/hooks"))["waiting"] + h["in_flight"] == 0,
             "posts are left")
    return service.sim.get("dv/hooks")


def parameter(context, name):
    return {p["key"]: p["value"] for p in context["InputParameters"]}[name]


def test_webhooks_speak_the_wire_format(service, receiver):
    service.post("table", table="account", count=20)
    service.post("table", table="new_tag", count=2)
    service.post("table", table="mserp_vendvendorv2entity", count=2)
    service.post("webhook", url=receiver.url, secret={"header": "x-key", "value": "s3cret"})
    service.post("webhook", url=receiver.url, secret={"query": "code", "value": "abc"},
                 tables=["new_tag"], messages=["Delete"])
    account, = service.post("change", table="account", count=1)["ids"]
    sent(service, receiver, 1)
    path, headers, raw = receiver.posts[0]
    assert path == "/hook" and headers["x-key"] == "s3cret"
    assert headers["x-ms-dynamics-entity-name"] == "account"
    assert headers["x-ms-dynamics-request-name"] == "Update"
    assert b"\\/Date(" in raw and b"http:\\/\\/schemas" in raw and not re.search(rb"[^\\]/", raw)
    context, = receiver.bodies()
    assert context["MessageName"] == "Update" and context["PrimaryEntityId"] == account
    assert context["Stage"] == 40 and context["ParentContext"]["Stage"] == 30
    target = parameter(context, "Target")
    assert list(target)[0] == "__type" and target["Id"] == account
    changed = {a["key"] for a in target["Attributes"]}
    assert {"accountid", "modifiedon"} <= changed and len(changed) < 20
    image = context["PostEntityImages"][0]
    assert image["key"] == "AsynchronousStepPrimaryName" and "__type" not in image["value"]

    tag, other = [line["id"] for line in service.truth("new_tag")]
    service.post("associate", relationship="new_account_tag", target=account, related=tag)
    related = service.get(f"accounts({account})/new_account_tag?$select=new_tagid"
                          f"&$filter=new_tagid eq {tag}").json["value"]
    assert [row["new_tagid"] for row in related] == [tag]
    service.post("disassociate", relationship="new_account_tag", target=account, related=tag)
    assert service.get(f"accounts({account})/new_account_tag").json["value"] == []
    truth, = service.lines("truth?relationship=new_account_tag")
    assert (truth["target"], truth["related"], truth["deleted"]) == (account, tag, True)
    service.post("delete", table="new_tag", ids=[other])
    vendor, = service.post("change", table="mserp_vendvendorv2entity", count=1)["ids"]
    hooks = sent(service, receiver, 6)
    assert hooks["delivered"] == 6 and hooks["answers"] == {"200": 6}
    by_name = {context["MessageName"]: context for context in receiver.bodies()}
    assert parameter(by_name["Associate"], "Relationship")["SchemaName"] == "new_account_tag"
    assert parameter(by_name["Associate"], "RelatedEntities")[0]["Id"] == tag
    assert parameter(by_name["Delete"], "Target")["Id"] == other
    assert by_name["OnExternalUpdated"]["PrimaryEntityId"] == vendor
    assert "BusinessEventId" in by_name["OnExternalUpdated"]
    assert "Disassociate" in by_name
    assert sum(path == "/hook?code=abc" for path, _, _ in receiver.posts) == 1


def test_webhooks_are_tried_again_once_and_only_after_502_503_504(service, receiver):
    service.post("table", table="account", count=20)
    service.post("webhook", url=receiver.url)
    service.switch(hook_retry_ms=10)
    receiver.answers = [503, 200, 500, 502, 504]
    for _ in range(3):
        before = len(receiver.posts)
        service.post("change", table="account", count=1)
        hooks = sent(service, receiver, before + 1)
    assert len(receiver.posts) == 5
    assert (hooks["retried"], hooks["failed"], hooks["delivered"]) == (2, 2, 1)
    assert hooks["answers"] == {"503": 1, "200": 1, "500": 1, "502": 1, "504": 1}


def test_webhooks_get_lost_doubled_late_stripped_and_rolled_back(service, receiver):
    service.post("table", table="account", count=200)
    service.post("webhook", url=receiver.url)
    service.switch(hook_lose_percent=100)
    service.post("change", table="account", count=3)
    service.switch(hook_lose_percent=0, hook_double_percent=100)
    service.post("change", table="account", count=2)
    assert sent(service, receiver, 4)["lost"] == 3 and len(receiver.posts) == 4

    service.switch(hook_double_percent=0, hook_oversize=100)
    service.post("change", table="account", count=1)
    sent(service, receiver, 5)
    assert receiver.posts[-1][1]["x-ms-dynamics-msg-size-exceeded"]
    stripped = receiver.bodies()[-1]
    assert stripped["PrimaryEntityId"] and "InputParameters" not in stripped
    assert not {"ParentContext", "PreEntityImages", "PostEntityImages"} & stripped.keys()

    service.switch(hook_oversize=0, hook_rollback_percent=100)
    before = service.stats()["changes"]
    service.post("change", table="account", count=10)
    sent(service, receiver, 25)
    assert service.stats()["changes"] == before + 10
    rolled_back = [body for body in receiver.bodies()[5:] if body["IsInTransaction"]]
    assert len(rolled_back) == 10 and all(body["Mode"] == 0 for body in rolled_back)

    service.switch(hook_rollback_percent=0, hook_disorder=300, hook_delay_ms={"min": 1, "max": 5})
    order = [service.post("change", table="account", count=1)["ids"][0] for _ in range(30)]
    sent(service, receiver, 55)
    seen = [body["PrimaryEntityId"] for body in receiver.bodies()[25:]]
    assert sorted(seen) == sorted(order) and seen != order
    service.sim.post("reset")
    assert service.sim.get("dv/hooks")["webhooks"] == []


def test_webhooks_over_tls_and_receivers_that_do_not_answer(service, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
         "-keyout", key, "-out", certificate], check=True, capture_output=True)
    secure = Receiver(certificate, key)
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        service.post("table", table="account", count=5)
        number = service.post("webhook", url=secure.url)["id"]
        service.post("change", table="account", count=1)
        wait_for(lambda: service.sim.get("dv/hooks")["failed"] == 1, "the certificate was trusted")
        service.switch(hook_ca=str(certificate))
        service.post("change", table="account", count=1)
        sent(service, secure, 1)
        service.switch(hook_ca=None, hook_verify=False)
        service.post("change", table="account", count=1)
        assert sent(service, secure, 2)["delivered"] == 2

        service.post("webhook", remove=number)
        service.post("webhook", url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        service.switch(hook_timeout_ms=100)
        service.post("change", table="account", count=1)
        wait_for(lambda: service.sim.get("dv/hooks")["failed"] == 2, "it waits for ever")
        assert service.sim.get("dv/hooks")["answers"] == {"none": 2, "200": 2}
        service.switch(hook_timeout_ms=60000)
        service.post("change", table="account", count=1)
        wait_for(lambda: service.sim.get("dv/hooks")["in_flight"] == 1, "nothing is under way")
    finally:
        secure.server.shutdown()
        secure.server.server_close()
        begun = time.monotonic()
        service.sim.stop()  # in the middle of a post
        silent.close()
    assert time.monotonic() - begun < 5
