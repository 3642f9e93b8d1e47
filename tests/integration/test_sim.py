"""The simulated Finance & Operations, seen from outside: its start and end, tokens, exports."""

import http.client
import io
import json
import signal
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree
import zipfile

import pytest

from dmf_client import ACTIONS, BINARY, VENDORS, Sim, fetch, fields, read_rows, sim

# ---------------------------------------------------------------- start and end


def test_it_writes_its_port_and_ends_at_once_with_status_0(tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        sim = Sim(tmp_path)
        assert int(sim.port_file.read_text()) == sim.port
        start = time.monotonic()
        assert sim.stop(number) == 0
        assert time.monotonic() - start < 8


def test_it_ends_at_once_in_the_middle_of_everything(tmp_path):
    sim = Sim(tmp_path)
    sim.records(200)
    sim.project()
    execution, _ = sim.begin()
    sim.wait(execution)
    sim.switches(slow_body_bytes_per_s=10, export_ms=60000, delay_ms=0)
    url = urllib.parse.urlsplit(sim.url(execution))
    stream = http.client.HTTPConnection(url.netloc)
    stream.request("GET", f"{url.path}?{url.query}")
    stream.getresponse().read(1)
    sim.begin()
    sim.post("change_rate", entity=VENDORS, company="USMF", per_s=10, seconds=60)
    start = time.monotonic()
    assert sim.stop() == 0
    assert time.monotonic() - start < 8, "all that was under way would have taken a minute"
    stream.close()


def test_help_and_version_and_mistakes_on_the_command_line(tmp_path):
    def run(*options):
        return subprocess.run([BINARY, *options], capture_output=True, text=True, timeout=20)

    assert "--token-seconds" in run("--help").stdout
    assert run("version").stdout.startswith("sluice-sim ")
    for mistake in (["--seed", "x"], ["--listen", "nowhere"], ["--nonsense"], ["nonsense"]):
        result = run(*mistake)
        assert result.returncode == 2 and "--help" in result.stderr
    (tmp_path / "bad.json").write_text('[{"path": "/_sim/records", "body": {"entity": "None"}}]')
    result = run("--listen", "127.0.0.1:0", "--load", str(tmp_path / "bad.json"))
    assert result.returncode == 1 and "call 1" in result.stderr and "'None'" in result.stderr


def test_load_applies_control_calls_before_it_listens(tmp_path):
    calls = [
        {"path": "/_sim/records", "body": {"entity": VENDORS, "company": "USMF", "count": 7}},
        {"path": "/_sim/project", "body": {"name": "P", "entities": [VENDORS]}},
        {"path": "/_sim/switches", "body": {"project": "P", "nested_value": True}},
    ]
    (tmp_path / "load.json").write_text(json.dumps(calls))
    sim = Sim(tmp_path, "--load", str(tmp_path / "load.json"), "--token-seconds", "77")
    try:
        assert sim.token_answer().json["expires_in"] == 76
        assert len(sim.rows()) == 7
        assert sim.get("switches")["projects"]["P"] == {"nested_value": True}
    finally:
        sim.stop()


# ---------------------------------------------------------------- tokens


def test_a_token_is_given_for_the_right_credentials(sim):
    answer = sim.token_answer()
    assert answer.status == 200
    assert answer.json["token_type"] == "Bearer" and answer.json["expires_in"] == 3599
    assert len(answer.json["access_token"]) > 1000
    assert sim.get("stats")["tokens_issued"] == 1


@pytest.mark.parametrize(
    "changes, status, error, code",
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "22222222-0000-0000-0000-000000000000"}, 400, "unauthorized_client", 700016),
        ({"tenant": "fabrikam.com"}, 400, "invalid_request", 90002),
        ({"scope": "http://127.0.0.1"}, 400, "invalid_scope", 70011),
        ({"scope": "https://other.example.com/.default"}, 400, "invalid_resource", 500011),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": None}, 400, "invalid_request", 900144),
    ],
)
def test_a_wrong_token_request_gets_its_aadsts_code(sim, changes, status, error, code):
    answer = sim.token_answer(**changes)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert answer.json["error_codes"] == [code]
    assert f"AADSTS{code}:" in answer.json["error_description"]
    assert "wrong" not in answer.body.decode()


def test_token_switches(sim):
    sim.switches(token_error=7000222)
    assert sim.token_answer().json["error_codes"] == [7000222]
    sim.switches(token_error=0, token_string_numbers=True)
    assert sim.token_answer().json["expires_in"] == "3599"


def test_a_bearer_that_is_missing_wrong_expired_or_revoked_gets_401(sim):
    sim.project()
    bare = fetch(sim.base + ACTIONS + "GetExecutionSummaryStatus", {"executionId": "x"})
    assert bare.status == 401 and bare.headers["WWW-Authenticate"].startswith("Bearer ")
    good = sim.token()
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    assert sim.call("GetExecutionSummaryStatus", token=wrong, executionId="x").status == 401
    assert sim.call("GetExecutionSummaryStatus", token=good, executionId="x").status == 500

    sim.switches(revoke_tokens=True)
    assert sim.call("GetExecutionSummaryStatus", token=good, executionId="x").status == 401
    assert sim.call("GetExecutionSummaryStatus", token=sim.token(), executionId="x").status == 500

    sim.switches(token_seconds=4)
    short = sim.token()
    assert sim.call("GetExecutionSummaryStatus", token=short, executionId="x").status == 500
    end = time.monotonic() + 20
    while sim.call("GetExecutionSummaryStatus", token=short, executionId="x").status != 401:
        assert time.monotonic() < end
        time.sleep(0.05)


# ---------------------------------------------------------------- exports


def test_first_export_is_full_then_only_what_changed(sim):
    sim.records(50)
    sim.project()
    assert sim.rows() == fields(sim.truth())
    assert sim.rows() == []
    changed = sim.change(5)["keys"]
    assert len(set(changed)) == 5
    sim.records(2)
    expected = set(changed) | {"V-000051", "V-000052"}
    rows = sim.rows()
    assert {row["VendorAccountNumber"] for row in rows} == expected
    by_key = {row["VendorAccountNumber"]: row for row in fields(sim.truth())}
    assert all(by_key[row["VendorAccountNumber"]] == row for row in rows)
    full = [execution["full"] for execution in sim.get("executions")]
    assert full == [True, False, False]
    assert sim.get("executions")[-1]["rows"] == {VENDORS: 7}


def test_a_full_project_always_exports_everything_and_reuses_its_package(sim):
    sim.records(30)
    sim.project(mode="full")
    first, second = sim.export(), sim.export()
    assert first == second and len(read_rows(first)) == 30
    assert sim.get("stats")["packages_reused"] == 1
    sim.change(1)
    assert len(sim.rows()) == 30
    assert sim.get("stats")["packages_built"] == 2


def test_the_same_seed_gives_the_same_data(tmp_path):
    contents = []
    for seed in ("5", "5", "6"):
        sim = Sim(tmp_path, "--seed", seed)
        sim.records(20)
        sim.change(7)
        contents.append(sim.truth())
        sim.stop()
    assert contents[0] == contents[1] != contents[2]


def test_a_change_bumps_the_revision_and_only_that_record(sim):
    sim.records(10)
    before = sim.truth()
    sim.change(keys=["V-000003", "usmf|V-000004"])
    after = sim.truth()
    different = [i for i in range(10) if before[i] != after[i]]
    assert different == [2, 3]
    assert (after[2]["key"], after[2]["rev"]) == ("usmf|V-000003", 2)
    assert after[2]["fields"]["ChangeNumber"] == "2"
    name = "VendorOrganizationName"
    assert after[2]["fields"][name] == before[2]["fields"][name]
    count = sim.get("count", entity=VENDORS, company="usmf")
    assert count == {"count": 10, "revisions": 12, "clock": 3}


@pytest.mark.parametrize("entity", [VENDORS, "Customers V3", "Released products V2", "Bench rows"])
@pytest.mark.parametrize("encoding", ["utf8", "utf8-bom", "utf16le", "utf16le-nobom"])
@pytest.mark.parametrize("newline", ["crlf", "lf", "cr"])
def test_package_holds_the_truth_in_every_format(sim, entity, encoding, newline):
    sim.records(400, entity=entity)
    python = {
        "utf8": "utf-8",
        "utf8-bom": "utf-8-sig",
        "utf16le": "utf-16",
        "utf16le-nobom": "utf-16-le",
    }
    sim.project(entities=[entity], format={"encoding": encoding, "newline": newline})
    package = sim.export()
    assert read_rows(package, f"{entity}.csv", python[encoding]) == fields(sim.truth(entity))
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        raw = archive.read(f"{entity}.csv")
    marks = {
        "utf8": b"dataA",
        "utf8-bom": b"\xef\xbb\xbf",
        "utf16le": b"\xff\xfe",
        "utf16le-nobom": b"d\0",
    }
    assert raw.startswith(marks[encoding])
    end = {"crlf": "\r\n", "lf": "\n", "cr": "\r"}[newline]
    assert raw.decode(python[encoding]).split(end)[0].split(",")[0] == "dataAreaId"


def test_header_case_quotes_delimiter_and_file_name(sim):
    sim.records(300)
    sim.project(
        entities=[{"entity": VENDORS, "file": "Leverandører.csv"}],
        format={"header_case": "upper", "quote": "all", "delimiter": ";"},
    )
    package = sim.export()
    rows = read_rows(package, "Leverandører.csv", delimiter=";")
    assert rows == [{k.upper(): v for k, v in row.items()} for row in fields(sim.truth())]
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.read("Leverandører.csv").startswith(b'"DATAAREAID";"VENDORACCOUNTNUMBER"')


def test_the_texts_hold_what_hurts_parsers(sim):
    sim.records(5000, entity="Bench rows")
    cells = [cell for row in fields(sim.truth("Bench rows")) for cell in row.values()]
    text = "".join(cells)
    for piece in ('"', ",", "\r\n", "📦", "数量", "ø", "\t"):
        assert piece in text, piece
    assert any("\n" in cell.replace("\r\n", "") for cell in cells)
    assert any("\r" in cell.replace("\r\n", "") for cell in cells)
    assert any(cell == '"' for cell in cells) and any(cell == "" for cell in cells)
    assert any(cell.startswith(" ") for cell in cells)
    assert any(cell.endswith("\n") for cell in cells)
    size = sum(len(cell.encode()) + 1 for cell in cells) / 5000
    assert 600 < size < 800, size


def test_several_entities_and_companies(sim):
    sim.records(10)
    sim.records(20, company="DEMF")
    sim.records(5, entity="Customers V3", company="DEMF")
    sim.project(entities=[VENDORS, "Customers V3"])
    package = sim.export(company="demf")
    assert read_rows(package) == fields(sim.truth(company="DEMF"))
    assert read_rows(package, "Customers V3.csv") == fields(sim.truth("Customers V3", "demf"))
    assert {row["dataAreaId"] for row in read_rows(package)} == {"demf"}
    assert len(sim.rows(company="USMF")) == 10, "each company has its own watermark"
    assert sim.get("count") == {"count": 35, "revisions": 35, "clock": 3}


def test_keys_of_a_prefix_go_on_and_are_escaped_in_the_truth(sim):
    sim.records(2)
    sim.records(2, prefix='A|B\\"')
    sim.records(1)
    sim.post("records", entity=VENDORS, company="USMF", upto=7)
    sim.post("records", entity=VENDORS, company="USMF", upto=3)
    keys = [record["key"] for record in sim.truth()]
    bar = 'usmf|A\\|B\\\\"-'
    assert keys == [
        "usmf|V-000001", "usmf|V-000002", bar + "000001", bar + "000002",
        "usmf|V-000003", "usmf|V-000004", "usmf|V-000005",
    ]
    sim.change(keys=["V-000005"])
    assert [r["rev"] for r in sim.truth()] == [1, 1, 1, 1, 1, 1, 2]
    sim.project()
    assert sim.rows() == fields(sim.truth())


def test_truth_can_be_paged_and_hashed(sim):
    sim.records(1000)
    whole = sim.truth()
    assert sim.truth(**{"from": 990}) == whole[990:]
    assert sim.truth(**{"from": 10, "limit": 300}) == whole[10:310]
    for hashed, record in zip(sim.truth(hash=1), whole, strict=True):
        value = 0xCBF29CE484222325
        for byte in b"".join(v.encode() + b"\x1f" for v in record["fields"].values()):
            value = (value ^ byte) * 0x100000001B3 % 2**64
        assert hashed == {"key": record["key"], "rev": record["rev"], "hash": f"{value:016x}"}


def test_change_rate_makes_exactly_so_many_changes(sim):
    sim.records(1000)
    sim.post("change_rate", entity=VENDORS, company="USMF", per_s=400, seconds=0.5)
    end = time.monotonic() + 20
    while sim.get("stats")["jobs_running"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert sim.get("count")["revisions"] == 1200


def test_manifest_and_header_look_like_the_real_ones(sim):
    sim.records(3)
    sim.project(entities=[{"entity": VENDORS, "file": "Other & name.csv"}])
    with zipfile.ZipFile(io.BytesIO(sim.export())) as archive:
        assert archive.namelist() == ["Other & name.csv", "PackageHeader.xml", "Manifest.xml"]
        for name in ("PackageHeader.xml", "Manifest.xml"):
            raw = archive.read(name)
            assert raw.startswith(b"\xff\xfe<\0D\0") and b"\n\0" not in raw
        manifest = xml.etree.ElementTree.fromstring(archive.read("Manifest.xml").decode("utf-16"))
    ns = "{http://schemas.microsoft.com/dynamics/2015/01/DataManagement}"
    data = manifest.findall(f"{ns}PackageEntityList/{ns}DataManagementPackageEntityData")
    assert [d.findtext(f"{ns}InputFilePath") for d in data] == ["Other & name.csv"]
    assert data[0].findtext(f"{ns}EntityName") == VENDORS
    maps = data[0].findall(f"{ns}EntityMapList/{ns}EntityMap")
    assert maps[1].findtext(f"{ns}XMLField") == "VendorAccountNumber"
    assert maps[1].findtext(f"{ns}EntityField") == "VENDORACCOUNTNUMBER"


def test_wrong_calls_get_odata_errors(sim):
    sim.records(1)
    sim.project()
    _, unknown = sim.begin(project="None")
    assert unknown.status == 500
    assert unknown.json["error"]["message"] == "An error has occurred."
    assert "definition group: None" in unknown.json["error"]["innererror"]["message"]
    inner = sim.status("never").json["error"]["innererror"]
    assert "were not found for execution id: never" in inner["message"]
    execution, _ = sim.begin()
    assert sim.wait(execution) == "Succeeded"
    assert sim.begin(execution=execution)[1].status == 500, "an id cannot be used twice"
    assert sim.call("GetMessageStatus").status == 404
    status = sim.call("GetExecutionSummaryStatus", "/namespaces/AXSF", executionId=execution)
    assert status.value == "Succeeded"
    _, generated = sim.begin(execution="")
    assert generated.value.startswith("P-")
    headers = {"Authorization": f"Bearer {sim.token()}"}
    assert fetch(sim.base + ACTIONS + "ExportToPackage", b"[", headers).status == 400
    assert fetch(sim.base + ACTIONS + "ExportToPackage", None, headers).status == 405


def test_entity_sets_tell_of_projects_and_companies_and_are_strict(sim):
    sim.records(1, company="GBSI")
    sim.project("A")
    sim.project("a 'b'&*", entities=(VENDORS, "Customers V3"), operation="import")
    groups, details = "DataManagementDefinitionGroups", "DataManagementDefinitionGroupDetails"

    def names(entity_set, member, query=""):
        return [row[member] for row in sim.read(entity_set, query).value]

    def equal(text, member="Name"):
        return "$filter=" + urllib.parse.quote(f"{member} eq '{text}'")

    assert [(row["Name"], row["OperationType"]) for row in sim.read(groups).value] == [
        ("A", "Export"), ("a 'b'&*", "Import")]
    assert set(sim.read(groups, "$select=Name").value[0]) == {"@odata.etag", "Name"}
    assert names(groups, "Name", equal("a")) == ["A"]
    assert names(groups, "Name", equal("none")) == []
    assert names(groups, "Name", equal("*b*")) == ["a 'b'&*"]
    assert names(groups, "Name", equal("A*")) == ["A", "a 'b'&*"], "a star fits any text"
    assert names(details, "EntityName", equal("a ''b''&*", "DefinitionGroupId")) == [VENDORS, "Customers V3"]
    assert names("LegalEntities", "LegalEntityId") == ["dat"]
    assert names("LegalEntities", "LegalEntityId", "cross-company=true") == ["dat", "gbsi", "USMF"]

    wrong = ["$select=Nam", "$filter=Name", "$filter=Name+eq+A", "$top=1", "$filter=Name+eq+'A''",
             "$filter=Name+eq+'A'b'", "$filter=Name+eq+'A'+or+Name+ne+'B'", "$filter=Name+eq+'A&B'",
             "$filter=contains(Name,'A')"]
    assert {query: sim.read(groups, query).status for query in wrong} == dict.fromkeys(wrong, 400)
    assert sim.read(groups, body={"Name": "B"}).status == 405
    assert sim.read(groups, method="DELETE").status == 405
    assert sim.read("VendorsV3").status == 404
    assert fetch(f"{sim.base}/data/{groups}").status == 401
    assert sim.begin("a 'b'&*")[1].status == 500, "it cannot export"


def test_control_calls_explain_what_is_wrong(sim):
    cases = [
        ("records", {"entity": "None", "company": "USMF", "count": 1}, "GET /_sim/entities"),
        ("records", {"entity": VENDORS, "count": 1}, "company"),
        ("project", {"name": "P"}, "entities"),
        ("project", {"name": "P", "entities": [VENDORS], "format": {"newline": "x"}}, "newline"),
        ("project", {"name": "P", "entities": [VENDORS], "operation": "copy"}, "operation"),
        ("switches", {"nonsense": 1}, "nonsense"),
        ("switches", {"nested_value": 3}, "true or false"),
        ("switches", {"final_status": "Lost"}, "PartiallySucceeded"),
        ("switches", {"project": "None"}, "None"),
        ("change", {"entity": VENDORS, "company": "USMF", "count": 1}, "no records"),
        ("nothing", {}, "not a control call"),
    ]
    for path, body, word in cases:
        answer = fetch(f"{sim.base}/_sim/{path}", body)
        assert answer.status in (400, 404) and word in answer.json["error"], answer.body
    assert fetch(f"{sim.base}/_sim/records", b"{").status == 400


def test_reset_forgets_everything(sim):
    sim.records(5)
    sim.project()
    sim.switches(export_ms=60000, nested_value=True)
    sim.begin()
    token = sim.token()
    assert sim.get("stats")["jobs_running"] == 1
    sim.post("reset")
    assert sim.get("count")["count"] == 0 and sim.get("executions") == []
    assert sim.get("projects") == [] and sim.get("stats")["jobs_running"] == 0
    assert sim.get("switches")["switches"]["nested_value"]["value"] is False
    assert sim.call("GetExecutionSummaryStatus", token=token, executionId="x").status == 401


def test_old_packages_go_when_the_disk_is_full(tmp_path):
    sim = Sim(tmp_path, "--disk-mib", "1", "--dir", str(tmp_path / "packages"))
    try:
        sim.records(4000)
        sim.project(mode="full")
        urls = []
        for _ in range(5):
            execution, _ = sim.begin()
            assert sim.wait(execution) == "Succeeded"
            urls.append(sim.url(execution))
            sim.change(1)
        statuses = [fetch(url).status for url in urls]
        assert statuses == sorted(statuses, reverse=True) and set(statuses) == {404, 200}
        kept = sum(path.stat().st_size for path in (tmp_path / "packages").iterdir())
        assert kept <= 1 << 20
    finally:
        sim.stop()


def test_a_kept_package_is_served_again_after_a_restart(tmp_path):
    packages = []
    for _ in range(2):
        sim = Sim(tmp_path, "--dir", str(tmp_path / "packages"))
        sim.records(100)
        sim.project()
        packages.append(sim.export())
        stats = sim.get("stats")
        sim.stop()
    assert packages[0] == packages[1]
    assert (stats["packages_built"], stats["packages_reused"]) == (0, 1)
