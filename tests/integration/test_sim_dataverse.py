"""The simulated Dataverse, seen from outside: pages, deltas, limits, switches, the truth."""

import datetime
import email.utils
import http.client
import json
import threading
import time

import pytest

from hooks import VIRTUAL
from process import wait_until
from programs import Sim
from sim_client import DEADLINE_S, GUID, TRACK, Service, compare, fetch, follow


@pytest.fixture
def service(sim):
    return Service(sim)


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


def test_pages_may_be_counted_so_that_another_size_leads_elsewhere(service):
    service.post("table", table="account", count=100)

    def rows_of(link, size):
        answer = service.get(link, f"{TRACK},odata.maxpagesize={size}").json
        return [row["accountid"] for row in answer["value"]], answer["@odata.nextLink"]

    every, _, _ = service.poll("accounts", TRACK)
    order = list(every)
    for counted, place in ((False, 20), (True, 30)):
        service.switch(dv_pages_counted=counted)
        rows, link = rows_of("accounts", 20)
        assert rows == order[:20] and rows_of(link, 20)[0] == order[20:40]
        assert rows_of(link, 30)[0] == order[place:place + 30]


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
    load = service.post("load", tables=["contact"], per_s=300, seconds=4, seed=3,
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
    assert 3.8 < pace_s < 12


def test_the_same_seed_gives_the_same_changes(service):
    def run():
        service.sim.post("reset")
        again = Service(service.sim)
        again.post("table", table="product", count=40)
        again.post("change", table="product", count=4, seed=9)
        again.post("load", tables=["product"], per_s=2000, seconds=0.05, seed=5)
        wait_until(lambda: again.stats()["loads_running"] == 0, DEADLINE_S, "the load does not end")
        return [(c["id"], c["op"], c["versionnumber"]) for c in again.lines("changes?from=1")]

    first = run()
    assert len(first) == 104 and run() == first


def test_virtual_tables_have_a_version_counter_of_their_own(service):
    service.post("table", table="account", count=3)
    service.post("table", table=VIRTUAL, count=3)

    def versions(table):
        return sorted(line["versionnumber"] for line in service.truth(table))
    assert versions("account") == [900_001, 900_002, 900_003]
    assert versions(VIRTUAL) == [70_000_001, 70_000_002, 70_000_003]
    _, _, link = service.poll("mserp_vendvendorv2entities", TRACK)
    assert service.post("change", table="account", count=1)["versionnumber"] == 900_004
    changed = service.post("change", table=VIRTUAL, count=1)
    assert changed["versionnumber"] == 70_000_004
    rows, deleted, _ = service.poll(link)
    assert list(rows) == changed["ids"] and deleted == []
    service.post("restore", version=900_003)
    assert versions("account")[-1] == 900_003 and versions(VIRTUAL)[-1] == 70_000_004
    service.post("restore", version=900_003, mserp_version=70_000_003)
    assert versions(VIRTUAL)[-1] == 70_000_003


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
    service.switch(dv_user_disabled=True)
    refused = service.get("accounts")
    assert (refused.status, refused.code) == (403, "0x80040225")


def test_tokens_expire_by_call_by_age_and_by_metadata(service):
    service.post("table", table="account", count=2)
    _, _, link = service.poll("accounts", TRACK)
    service.post("expire")
    expired = service.get(link)
    assert (expired.status, expired.code) == (400, "0x80044352")
    service.switch(dv_expired_status=410, dv_expired_codeless=True)
    assert (service.get(link).status, service.get(link).code) == (410, "")
    service.switch(dv_expired_codeless=False)

    rows, _, link = service.poll("accounts", TRACK)
    assert "new_extra" not in next(iter(rows.values()))
    service.post("metadata", table="account", add_column="new_extra", type="Integer")
    assert service.get(link).code == "0x80044352"
    rows, _, link = service.poll("accounts", TRACK)
    assert {row["new_extra"] for row in rows.values()} == {None}
    changed = service.post("change", table="account", count=2)["ids"]
    assert len(changed) == 2 and service.get(link).status == 200

    service.switch(dv_token_seconds=1)
    wait_until(lambda: service.get(link).status == 410, DEADLINE_S, "the token does not grow old")
    assert service.get(link.replace("$deltatoken=9", "$deltatoken=x")).status == 400
    assert service.get("accounts?$skiptoken=<cookie />").status == 400


def test_metadata_who_am_i_and_privileges(service):
    service.post("table", table="account", count=1)
    service.post("table", table="new_tag", count=1, tracking=False, trackable=False)
    service.post("table", table="new_visit", columns=[], count=1, tracking=False, elastic=True)
    service.post("table", table="mserp_vendvendorv2entity", count=1, tracking=False)
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

    for table, kind in (("new_tag", "Standard"), ("mserp_vendvendorv2entity", "Virtual"),
                        ("new_visit", "Elastic")):
        answer = service.get(f"EntityDefinitions(LogicalName='{table}')?$select=TableType")
        assert answer.json["TableType"] == kind

    tracked = service.get("EntityDefinitions?$filter=ChangeTrackingEnabled eq true").json["value"]
    assert {d["LogicalName"] for d in tracked} == {"account", "t000", "t001", "t002", "new_thing"}
    who = service.get("WhoAmI").json
    service.switch(dv_organisation=7)
    other = service.get("WhoAmI").json
    assert other.pop("OrganizationId") != who["OrganizationId"]
    assert other == {name: value for name, value in who.items() if name != "OrganizationId"}
    service.switch(dv_organisation=None)
    assert service.get("WhoAmI").json == who
    read = (f"systemusers({who['UserId']})/Microsoft.Dynamics.CRM."
            "RetrieveUserPrivilegeByPrivilegeName(PrivilegeName='prvReadAccount')")
    assert service.get(read).json["RolePrivileges"][0]["Depth"] == "Global"
    service.switch(dv_no_org_read=True)
    assert service.get(read).json["RolePrivileges"][0]["Depth"] == "Basic"
    service.switch(dv_no_org_read=None)
    for depth in ("Basic", "Local", "Deep", "Global"):
        service.switch(dv_read_depth=depth.lower())
        assert service.get(read).json["RolePrivileges"][0]["Depth"] == depth
    service.switch(dv_read_depth="untold")
    assert service.get(read).status == 403
    service.switch(dv_read_depth=None)
    row = service.get("new_things").json["value"][0]
    assert {"new_x", "_new_who_value", "new_thingid", "modifiedon"} <= row.keys()


def test_a_user_who_reads_less_than_the_organisation_gets_part_of_the_rows_and_200(service):
    service.post("table", table="account", count=40)
    everything, _, _ = service.poll("accounts", TRACK)
    ids = list(everything)
    for place, depth in enumerate(("basic", "local", "deep"), 1):
        service.switch(dv_read_depth=depth)
        seen, _, link = service.poll("accounts", f"{TRACK},odata.maxpagesize=7")
        assert len(seen) == 10 * place and seen.keys() < everything.keys()
        assert service.get("accounts/$count").body.decode("utf-8-sig") == str(len(seen))
        changed = service.post("change", table="account", ids=ids)["ids"]
        assert len(changed) == 40
        rows, gone, _ = service.poll(link)
        assert rows.keys() == seen.keys() and not gone
        hidden = next(one for one in ids if one not in seen)
        assert service.get(f"accounts({next(iter(seen))})").status == 200
        refused = service.get(f"accounts({hidden})")
        assert (refused.status, refused.code) == (403, "0x80040220")
    service.switch(dv_read_depth="global")
    assert service.poll("accounts", TRACK)[0].keys() == everything.keys()


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


def test_the_clock_of_the_service_may_be_wrong(service):
    service.post("table", table="account", count=1)
    true_s = time.time()
    for skew_s in (-3600, 3600):
        service.switch(dv_clock_skew_ms=skew_s * 1000)
        service.post("change", table="account", count=1)
        answer = service.get("accounts")
        says = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        changed = datetime.datetime.fromisoformat(answer.json["value"][0]["modifiedon"]).timestamp()
        assert abs(says - true_s - skew_s) < DEADLINE_S and abs(changed - says) < DEADLINE_S
        assert abs(service.lines("changes")[-1]["at_ms"] / 1000 - true_s) < DEADLINE_S


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
    service.switch(dv_limit_requests=5, dv_limit_window_ms=20000)
    answers = [service.get("WhoAmI") for _ in range(8)]
    assert [a.status for a in answers] == [200] * 5 + [429] * 3
    assert answers[0].headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "4"
    left_s = answers[0].headers["x-ms-ratelimit-time-remaining-xrm-requests"]
    assert 1190 < float(left_s.replace(",", "")) <= 1200
    assert answers[5].code == "0x80072322" and 1 <= int(answers[5].headers["Retry-After"]) <= 21
    assert service.user()["too_early"] == 2
    service.switch(dv_limit_window_ms=2000)
    wait_until(lambda: service.get("WhoAmI").status == 200, DEADLINE_S, "the window does not slide")

    service.switch(dv_limit_requests=8000, dv_limit_execution_ms=50, dv_cost_ms=60)
    service.switch(dv_limit_window_ms=20000)
    wait_until(lambda: service.get("WhoAmI").status == 200, DEADLINE_S, "the window does not slide")
    busy = service.get("WhoAmI")
    assert (busy.status, busy.code) == (429, "0x80072321")
    assert busy.headers["x-ms-ratelimit-burst-remaining-xrm-requests"].startswith("7,99")

    service.switch(dv_limit_execution_ms=10**9, dv_limit_concurrency=2, dv_delay_ms=3000)
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
