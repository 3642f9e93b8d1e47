"""The switches of the simulated Finance & Operations: of its actions, and of the rows."""

import csv
import io
import json
import time
import zipfile

import pytest

from dmf_client import ROOT, VENDORS, fetch, fields, package, read_rows, sim

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
                   for name in ("test_sim.py", "test_sim_downloads.py",
                                "test_sim_switches.py", "test_sim_dataverse.py",
                                "test_sim_webhooks.py", "test_sim_sign_in.py"))
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


def test_entity_sets_may_be_absent_or_forbidden(sim):
    groups, details = "DataManagementDefinitionGroups", "DataManagementDefinitionGroupDetails"
    sim.switches(sets_absent=f"{details} LegalEntities")
    assert [sim.read(name).status for name in (groups, details, "LegalEntities")] == [200, 404, 404]
    sim.switches(sets_absent=None, sets_forbidden=groups)
    assert [sim.read(name).status for name in (groups, details, "LegalEntities")] == [403, 200, 200]
    sim.switches(sets_forbidden=None, http_429_next=1)
    assert [sim.read(groups).status for _ in range(2)] == [429, 200]


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


def test_an_unknown_execution_may_be_told_in_another_language(sim):
    sim.project()
    for translated, words in ((False, "Execution details were not found"), (True, "Keine Details")):
        sim.switches(unknown_translated=translated)
        answer = sim.status("nobody")
        assert answer.status == 500 and words in answer.json["error"]["innererror"]["message"]


def test_queue_and_export_time_pass_through_the_states(sim):
    sim.records(1)
    sim.project()
    sim.switches(queue_ms=3500, export_ms=3500)  # so that each state is seen
    execution, _ = sim.begin()
    sim.records(1)  # before the job reads the data
    seen = []
    end = time.monotonic() + 40
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
    sim.switches(parallel_fails=True, export_ms=3500)
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


def test_without_the_text_qualifier_cells_stand_as_they_are(sim):
    sim.records(300)
    sim.project()
    sim.project("Q", format={"quote": "all"})
    rows = sim.rows()
    assert all(any(c in cell for row in rows for cell in row.values()) for c in ',"\n')
    sim.switches(unquoted=True)
    bare = [",".join(cells) for cells in ([*rows[0]], *(row.values() for row in rows))]
    with zipfile.ZipFile(io.BytesIO(sim.export("Q"))) as archive:
        assert archive.read("Vendors V3.csv").decode() == "\r\n".join([*bare, ""])


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
