"""The simulated Dynamics 365, seen from outside: tokens, exports, downloads, and every switch.

The witnesses are Python's own zipfile, csv and http modules; nothing of sluice takes part.
"""

import csv
import http.client
import io
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build/debug-asan")) / "src/sluice-sim"

TENANT = "contoso.com"
CLIENT = "11111111-2222-4333-8444-555555555555"
SECRET = "sim-secret"
ACTIONS = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
VENDORS = "Vendors V3"
DEADLINE_S = 60


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def value(self):
        assert self.status == 200, (self.status, self.body)
        return self.json["value"]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


def fetch(url, body=None, headers=None, method=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with OPENER.open(request, timeout=DEADLINE_S) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Sim:
    """A running simulator, and the calls that a client would make."""

    def __init__(self, directory, *options):
        self.port_file = directory / "port"
        command = [BINARY, "--listen", "127.0.0.1:0", "--port-file", self.port_file, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("sluice-sim listening on http://127.0.0.1:"), line
        self.base = line.split()[-1]
        self.port = int(self.base.rsplit(":", 1)[1])
        self._token = None
        self._serial = 0

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(timeout=10)
        self.process.stdout.close()
        return status

    # control
    def post(self, path, **body):
        answer = fetch(f"{self.base}/_sim/{path}", body)
        assert answer.status == 200, answer.body
        return answer.json

    def get(self, path, **query):
        answer = fetch(f"{self.base}/_sim/{path}?{urllib.parse.urlencode(query)}")
        assert answer.status == 200, answer.body
        return answer.json

    def truth(self, entity=VENDORS, company="USMF", **query):
        query = urllib.parse.urlencode({"entity": entity, "company": company, **query})
        answer = fetch(f"{self.base}/_sim/truth?{query}")
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.decode().splitlines()]

    def records(self, count, entity=VENDORS, company="USMF", **more):
        return self.post("records", entity=entity, company=company, count=count, **more)

    def change(self, count=0, entity=VENDORS, company="USMF", **more):
        return self.post("change", entity=entity, company=company, count=count, **more)

    def project(self, name="P", entities=(VENDORS,), company="USMF", **more):
        return self.post("project", name=name, company=company, entities=list(entities), **more)

    def switches(self, **switches):
        return self.post("switches", **switches)

    # the client's side
    def token_answer(self, tenant=TENANT, **changes):
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": f"{self.base}/.default",
        }
        form.update(changes)
        body = urllib.parse.urlencode({k: v for k, v in form.items() if v is not None}).encode()
        return fetch(f"{self.base}/{tenant}/oauth2/v2.0/token", body)

    def token(self):
        answer = self.token_answer()
        assert answer.status == 200, answer.body
        return answer.json["access_token"]

    def call(self, action, prefix="", token=None, **arguments):
        if token is None:
            self._token = self._token or self.token()
            token = self._token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return fetch(self.base + prefix + ACTIONS + action, arguments, headers)

    def begin(self, project="P", company="USMF", execution=None):
        if execution is None:
            self._serial += 1
            execution = f"{project}-{self._serial}"
        answer = self.call(
            "ExportToPackage",
            definitionGroupId=project,
            packageName="test",
            executionId=execution,
            reExecute=False,
            legalEntityId=company,
        )
        return execution, answer

    def status(self, execution):
        return self.call("GetExecutionSummaryStatus", executionId=execution)

    def url(self, execution):
        value = self.call("GetExportedPackageUrl", executionId=execution).value
        return value["value"] if isinstance(value, dict) else value

    def wait(self, execution):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            status = self.status(execution).value
            if status not in ("NotRun", "Executing"):
                return status
            time.sleep(0.01)
        raise AssertionError(f"{execution} does not end")

    def export(self, project="P", company="USMF"):
        """A whole export; gives the package's bytes."""
        execution, answer = self.begin(project, company)
        assert answer.status == 200, answer.body
        assert self.wait(execution) == "Succeeded"
        return fetch(self.url(execution)).body

    def rows(self, project="P", company="USMF", name="Vendors V3.csv", encoding="utf-8-sig"):
        return read_rows(self.export(project, company), name, encoding)


def read_rows(package, name="Vendors V3.csv", encoding="utf-8-sig", delimiter=","):
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        text = archive.read(name).decode(encoding)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def fields(truth):
    return [record["fields"] for record in truth]


@pytest.fixture
def sim(tmp_path):
    running = Sim(tmp_path)
    yield running
    assert running.stop() == 0


# ---------------------------------------------------------------- start and end


def test_it_writes_its_port_and_ends_at_once_with_status_0(tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        sim = Sim(tmp_path)
        assert int(sim.port_file.read_text()) == sim.port
        start = time.monotonic()
        assert sim.stop(number) == 0
        assert time.monotonic() - start < 5


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
    assert time.monotonic() - start < 5
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

    sim.switches(token_seconds=1)
    short = sim.token()
    assert sim.call("GetExecutionSummaryStatus", token=short, executionId="x").status == 500
    end = time.monotonic() + 10
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


def test_control_calls_explain_what_is_wrong(sim):
    cases = [
        ("records", {"entity": "None", "company": "USMF", "count": 1}, "GET /_sim/entities"),
        ("records", {"entity": VENDORS, "count": 1}, "company"),
        ("project", {"name": "P"}, "entities"),
        ("project", {"name": "P", "entities": [VENDORS], "format": {"newline": "x"}}, "newline"),
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


# ---------------------------------------------------------------- downloads


@pytest.fixture
def package(sim):
    """A package that is ready: its URL and its bytes."""
    sim.records(500)
    sim.project()
    execution, _ = sim.begin()
    assert sim.wait(execution) == "Succeeded"
    url = sim.url(execution)
    return url, fetch(url).body, execution


def test_ranges_are_served_as_azure_does(sim, package):
    url, whole, _ = package
    size = len(whole)
    answer = fetch(url)
    assert answer.status == 200 and answer.headers["Accept-Ranges"] == "bytes"
    assert int(answer.headers["Content-Length"]) == size
    cases = [
        ({"Range": "bytes=0-9"}, 0, 10),
        ({"Range": "bytes=100-"}, 100, size),
        ({"Range": f"bytes={size - 1}-{size + 500}"}, size - 1, size),
        ({"Range": "bytes=0-9", "x-ms-range": "bytes=20-29"}, 20, 30),
    ]
    for headers, first, end in cases:
        answer = fetch(url, headers=headers)
        assert answer.status == 206 and answer.body == whole[first:end], headers
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{size}"
    beyond = fetch(url, headers={"Range": f"bytes={size}-"})
    assert beyond.status == 416 and b"<Code>InvalidRange</Code>" in beyond.body
    assert fetch(url, headers={"Range": "lines=1-2"}).body == whole
    head = fetch(url, method="HEAD")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) == size
    assert sim.get("stats")["ranges_served"] == 4


def test_if_match_guards_a_resumed_download(sim, package):
    url, whole, _ = package
    etag = fetch(url).headers["ETag"]
    headers = {"If-Match": etag, "Range": "bytes=5-"}
    assert fetch(url, headers=headers).body == whole[5:]
    other = fetch(url, headers={"If-Match": '"0x0"', "Range": "bytes=5-"})
    assert other.status == 412 and other.headers["x-ms-error-code"] == "ConditionNotMet"


def test_signatures_are_checked_and_expire(sim, package):
    url, whole, execution = package
    for wrong in (url.replace("sig=", "sig=A"), url.split("?")[0], url.replace("&se=2", "&se=3")):
        answer = fetch(wrong)
        assert answer.status == 403 and answer.headers["x-ms-error-code"] == "AuthenticationFailed"
        assert answer.body.startswith(b"\xef\xbb\xbf<?xml")
    sim.switches(sas_expired_next=1)
    assert fetch(sim.url(execution)).status == 403
    assert fetch(sim.url(execution)).body == whole
    sim.switches(sas_seconds=1)
    url = sim.url(execution)
    end = time.monotonic() + 10
    while fetch(url).status != 403:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_forwarded_bearer_breaks_the_download_and_is_counted(sim, package):
    url, _, _ = package
    assert fetch(url, headers={"Authorization": f"Bearer {sim.token()}"}).status == 403
    assert sim.get("stats")["bearer_leaked"] == 1


def test_stats_count_requests_bytes_and_executions(sim, package):
    _, whole, _ = package
    end = time.monotonic() + 10
    while not (stats := sim.get("stats"))["downloads_completed"]:  # it may learn of the last byte later
        assert time.monotonic() < end
        time.sleep(0.01)
    assert stats["requests"]["ExportToPackage"] == {"200": 1}
    assert stats["requests"]["blob"] == {"200": 1} and stats["requests"]["token"] == {"200": 1}
    assert stats["bytes_served"] == len(whole) and stats["downloads_completed"] == 1
    assert stats["executions"]["Succeeded"] == 1 and stats["downloads"] == []
    assert stats["connections_open"] >= 1
    execution = sim.get("executions")[0]
    assert execution["package_bytes"] == len(whole) and execution["rows"] == {VENDORS: 500}


def test_stats_show_a_download_that_stands_still(sim):
    sim.records(60000, entity="Bench rows")
    sim.project(entities=["Bench rows"])
    execution, _ = sim.begin()
    assert sim.wait(execution) == "Succeeded"
    url = urllib.parse.urlsplit(sim.url(execution))
    stream = socket.create_connection(("127.0.0.1", sim.port))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    stream.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())

    def settled():
        end, last = time.monotonic() + 30, -1
        while time.monotonic() < end:
            downloads = sim.get("stats")["downloads"]
            if downloads and downloads[0]["sent"] == last:
                return downloads[0]
            last = downloads[0]["sent"] if downloads else -1
            time.sleep(0.3)
        raise AssertionError("the download moves on")

    before = settled()
    assert 0 < before["sent"] < before["length"] and before["execution"] == execution
    read = 0
    while read < 2_000_000:
        read += len(stream.recv(65536))
    assert settled()["sent"] > before["sent"]
    stream.close()
    end = time.monotonic() + 10
    while sim.get("stats")["downloads"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert sim.get("stats")["downloads_broken"] == 1


# ---------------------------------------------------------------- switches of the actions


def test_switches_are_listed_with_default_value_and_help(sim):
    sim.project()
    sim.switches(delay_ms=3, bad_rows={"untypable": 2})
    sim.switches(project="P", nested_value=True)
    listed = sim.get("switches")
    assert listed["switches"]["delay_ms"]["value"] == 3
    assert listed["switches"]["delay_ms"]["default"] == 0
    assert listed["switches"]["bad_rows.untypable"]["value"] == 2
    assert all(row["help"] for row in listed["switches"].values())
    assert listed["projects"] == {"P": {"nested_value": True}}
    sim.switches(delay_ms=None, bad_rows=None)
    assert sim.get("switches")["switches"]["bad_rows.untypable"]["value"] == 0


def test_every_switch_is_named_in_these_files_and_in_the_manual(sim):
    here = "".join((ROOT / "tests/integration" / name).read_text()
                   for name in ("test_sim.py", "test_sim_dataverse.py",
                                "test_sim_webhooks.py"))
    manual = (ROOT / "docs/SIMULATOR.md").read_text()
    for name in sim.get("switches")["switches"]:
        group, _, member = name.partition(".")
        assert f"{group}=" in here and (not member or f'"{member}"' in here), name
        assert f"`{name}`" in manual, name


def test_switches_of_a_project_do_not_touch_another(sim):
    sim.records(1)
    sim.project("P")
    sim.project("Q")
    sim.switches(project="P", nested_value=True)
    assert sim.begin("P")[1].value == {"value": "P-1"}
    assert sim.begin("Q")[1].value == "Q-2"


def test_nested_value(sim, package):
    sim.switches(nested_value=True)
    execution, answer = sim.begin()
    assert answer.value == {"value": execution}
    assert sim.wait(execution) == "Succeeded"
    answer = sim.call("GetExportedPackageUrl", executionId=execution)
    assert answer.value["value"].startswith("http://")


def test_id_unknown_and_url_empty_for_some_polls(sim):
    sim.records(1)
    sim.project()
    sim.switches(id_unknown_polls=2, url_empty_polls=3)
    execution, _ = sim.begin()
    assert [sim.status(execution).status for _ in range(3)] == [500, 500, 200]
    assert sim.wait(execution) == "Succeeded"
    assert [bool(sim.url(execution)) for _ in range(4)] == [False, False, False, True]


def test_queue_and_export_time_pass_through_the_states(sim):
    sim.records(1)
    sim.project()
    sim.switches(queue_ms=300, export_ms=300)
    execution, _ = sim.begin()
    sim.records(1)  # before the job reads the data
    seen = []
    end = time.monotonic() + 20
    while not seen or seen[-1] != "Succeeded":
        assert time.monotonic() < end
        status = sim.status(execution).value
        if status == "Executing" and "Executing" not in seen:
            sim.records(1)  # after it
            assert sim.url(execution) == ""
        if not seen or seen[-1] != status:
            seen.append(status)
        time.sleep(0.01)
    assert seen == ["NotRun", "Executing", "Succeeded"]
    assert len(read_rows(fetch(sim.url(execution)).body)) == 2
    assert len(sim.rows()) == 1


def test_synchronous_export(sim):
    sim.records(1)
    sim.project()
    sim.switches(synchronous_export=True, export_ms=400)
    start = time.monotonic()
    execution, answer = sim.begin()
    assert time.monotonic() - start >= 0.4 and answer.value == execution
    assert sim.status(execution).value == "Succeeded"


def test_rewrite_execution_id(sim):
    sim.records(1)
    sim.project()
    sim.switches(rewrite_execution_id=True)
    execution, answer = sim.begin()
    assert answer.value != execution and sim.status(execution).status == 500
    assert sim.wait(answer.value) == "Succeeded"


def test_export_error_next(sim):
    sim.records(1)
    sim.project("P")
    sim.switches(export_error_next=1)
    execution, answer = sim.begin("P")
    assert answer.status == 500
    assert sim.wait(execution) == "Succeeded", "it ran all the same"
    assert sim.begin("P")[1].status == 200


def test_parallel_fails(sim):
    sim.records(1)
    sim.project("P")
    sim.project("Q")
    sim.switches(parallel_fails=True, export_ms=500)
    first, _ = sim.begin("P")
    second, answer = sim.begin("P")
    assert answer.status == 500 and "DMF2025" in answer.json["error"]["innererror"]["message"]
    assert sim.begin("Q")[1].status == 200
    assert sim.wait(first) == "Succeeded"
    assert sim.begin("P", execution=second)[1].status == 200, "the refused id was not used up"


@pytest.mark.parametrize("kind", ["header_only", "no_file", "no_url"])
def test_zero_rows(sim, kind):
    sim.project()
    sim.switches(zero_rows=kind)
    execution, _ = sim.begin()
    assert sim.wait(execution) == "Succeeded"
    url = sim.url(execution)
    if kind == "no_url":
        assert url == ""
        return
    with zipfile.ZipFile(io.BytesIO(fetch(url).body)) as archive:
        assert ("Vendors V3.csv" in archive.namelist()) == (kind == "header_only")
        if kind == "header_only":
            assert archive.read("Vendors V3.csv").count(b"\n") == 1


def test_unquoted_cells_break_the_column_count(sim):
    sim.records(300)
    sim.project()
    sim.switches(unquoted=True)
    with zipfile.ZipFile(io.BytesIO(sim.export())) as archive:
        text = archive.read("Vendors V3.csv").decode()
        assert "<UseTextQualifier>false" in archive.read("Manifest.xml").decode("utf-16")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 301 and {len(row) for row in rows} > {len(rows[0])}


@pytest.mark.parametrize("status", ["Failed", "Canceled"])
@pytest.mark.parametrize("moves", [False, True])
def test_failed_executions_and_their_watermark(sim, status, moves):
    sim.records(10)
    sim.project()
    assert len(sim.rows()) == 10
    sim.change(4)
    sim.switches(final_status=status, fail_next=1, failed_moves_watermark=moves)
    execution, _ = sim.begin()
    assert sim.wait(execution) == status
    assert sim.url(execution) == ""
    errors = sim.call("GetExecutionErrors", executionId=execution).value
    assert status in errors
    with pytest.raises(json.JSONDecodeError):
        json.loads(errors)
    assert len(sim.rows()) == (0 if moves else 4)


def test_fail_next_alone_means_failed(sim):
    sim.records(1)
    sim.project()
    sim.switches(fail_next=2)
    ends = []
    for _ in range(3):
        execution, _ = sim.begin()
        ends.append(sim.wait(execution))
    assert ends == ["Failed", "Failed", "Succeeded"]


def test_partially_succeeded_lacks_rows_and_moves_the_watermark(sim):
    sim.records(25)
    sim.project()
    sim.switches(final_status="PartiallySucceeded", fail_next=1)
    execution, _ = sim.begin()
    assert sim.wait(execution) == "PartiallySucceeded"
    rows = read_rows(fetch(sim.url(execution)).body)
    assert len(rows) == 22 and sim.get("executions")[0]["rows"] == {VENDORS: 22}
    assert sim.rows() == []


def test_watermark_scope_project_loses_the_other_company(sim):
    sim.records(3)
    sim.records(4, company="DEMF")
    sim.project()
    sim.switches(watermark_scope="project")
    assert len(sim.rows(company="USMF")) == 3
    assert len(sim.rows(company="DEMF")) == 0


def test_throttled_failing_and_absent_service(sim):
    sim.records(1)
    sim.project()
    sim.switches(http_429_next=2, retry_after=7)
    answers = [sim.begin()[1] for _ in range(3)]
    assert [a.status for a in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    sim.switches(http_500_next=1)
    answer = sim.begin()[1]
    assert answer.status == 500 and answer.json == {"Message": "An error has occurred."}
    sim.switches(http_503_next=1, retry_after=-1)
    answer = sim.begin()[1]
    assert answer.status == 503 and answer.headers["Retry-After"] is None
    assert sim.begin()[1].status == 200


def test_delay_ms(sim):
    sim.token()
    sim.switches(delay_ms=200)
    start = time.monotonic()
    token = sim.token()
    sim.call("GetExecutionSummaryStatus", token=token, executionId="x")
    assert time.monotonic() - start >= 0.4


# ---------------------------------------------------------------- switches of the downloads


def test_blob_gone_and_busy(sim, package):
    url, whole, execution = package
    sim.switches(blob_503_next=1)
    answer = fetch(url)
    assert answer.status == 503 and b"<Code>ServerBusy</Code>" in answer.body
    assert fetch(url).body == whole
    sim.switches(blob_gone=True)
    answer = fetch(url)
    assert answer.status == 404 and b"<Code>BlobNotFound</Code>" in answer.body
    assert sim.status(execution).value == "Succeeded" and sim.url(execution)


def test_truncated_download_breaks_off_and_can_be_resumed(sim, package):
    url, whole, _ = package
    sim.switches(truncate_download_at=1000, truncate_next=1)
    with pytest.raises(http.client.IncompleteRead) as broken:
        fetch(url)
    assert broken.value.partial == whole[:1000]
    assert fetch(url, headers={"Range": "bytes=1000-"}).body == whole[1000:]
    assert fetch(url).body == whole


def test_slow_body(sim, package):
    url, whole, _ = package
    sim.switches(slow_body_bytes_per_s=len(whole))
    start = time.monotonic()
    assert fetch(url).body == whole
    assert 0.7 < time.monotonic() - start < 5


def test_no_ranges(sim, package):
    url, whole, _ = package
    sim.switches(no_ranges=True)
    answer = fetch(url, headers={"Range": "bytes=10-"})
    assert answer.status == 200 and answer.body == whole and answer.headers["Accept-Ranges"] is None


def test_url_http_and_redirect(sim, package):
    url, _, execution = package
    sim.switches(redirect_download_to="http://192.0.2.1/elsewhere")
    answer = fetch(url)
    assert answer.status == 302 and answer.headers["Location"] == "http://192.0.2.1/elsewhere"
    sim.switches(redirect_download_to="", url_http=True)
    split = urllib.parse.urlsplit(sim.url(execution))
    assert split.scheme == "http" and not split.hostname.startswith("127.")


def test_corrupt_and_truncated_zips(sim):
    sim.records(500)
    sim.project(mode="full")
    good = sim.export()
    sim.switches(corrupt_zip_next=1)
    corrupt = sim.export()
    assert len(corrupt) == len(good) and corrupt != good
    with zipfile.ZipFile(io.BytesIO(corrupt)) as archive:
        with pytest.raises((zipfile.BadZipFile, zipfile.zlib.error)):
            archive.read("Vendors V3.csv")
        archive.read("Manifest.xml")
    sim.switches(truncated_zip_next=1)
    cut = sim.export()
    assert good.startswith(cut) and 0 < len(cut) < len(good)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(cut))
    assert sim.export() == good


@pytest.mark.parametrize("descriptors", [False, True])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("level", [0, 6])
def test_shapes_of_the_zip(sim, tmp_path, descriptors, zip64, last, level):
    sim.records(2000)
    sim.project()
    sim.switches(data_descriptors=descriptors, force_zip64=zip64, manifest_last=last, level=level)
    package = sim.export()
    assert read_rows(package) == fields(sim.truth())
    flags = struct.unpack_from("<H", package, 6)[0]
    assert bool(flags & 8) == descriptors
    assert (b"PK\x06\x06" in package[-200:]) == zip64
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert (archive.namelist()[0] == "Vendors V3.csv") == last
        size = archive.infolist()[0 if last else 2].file_size
    assert (len(package) > size) == (level == 0)


# ---------------------------------------------------------------- switches of the rows


def test_bad_rows_are_where_the_truth_says(sim):
    sim.records(1000)
    sim.project()
    sim.switches(bad_rows={"untypable": 3, "wrong_columns": 4, "empty_key": 2, "every": 20})
    truth = sim.truth(project="P")
    reasons = [record.get("bad") for record in truth]
    assert [reasons.count(r) for r in ("untypable", "wrong_columns", "empty_key")] == [3, 4, 2]
    with zipfile.ZipFile(io.BytesIO(sim.export())) as archive:
        text = archive.read("Vendors V3.csv").decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    width = len(rows[0])
    for row, record in zip(rows[1:], truth, strict=True):
        bad = record.get("bad")
        assert (len(row) != width) == (bad == "wrong_columns")
        assert (row[1] == "") == (bad == "empty_key")
        if bad == "untypable":
            with pytest.raises(ValueError):
                int(row[-1])
        if bad != "wrong_columns":
            assert row == list(record["fields"].values())
    # A bad record stays bad when it changes and when others come.
    key = next(record["key"] for record in truth if record.get("bad") == "empty_key")
    sim.records(500)
    sim.change(keys=[key])
    again = {record["key"]: record.get("bad") for record in sim.truth(project="P")}
    assert again[key] == "empty_key" and sum(1 for bad in again.values() if bad) == 9


def test_bad_rows_can_be_everywhere(sim):
    sim.records(100)
    sim.switches(bad_rows={"untypable": 1000, "every": 1})
    assert all(record["bad"] == "untypable" for record in sim.truth())


def test_big_rows(sim):
    sim.records(100)
    sim.project()
    sim.switches(big_rows={"rows": 2, "bytes": 300000})
    truth = sim.truth()
    assert [record["big"] for record in truth if "big" in record] == [300000, 300000]
    csv.field_size_limit(1 << 20)
    rows = sim.rows()
    assert rows == fields(truth)
    assert sorted(len(row["Notes"].encode()) for row in rows)[-3:][1:] == [300000, 300000]


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
