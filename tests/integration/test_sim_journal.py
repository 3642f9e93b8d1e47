"""sluice-sim --journal: every change is in a file, as it happens, and outlives the simulator."""

import json

from feeds import VENDORS, add_records, change_records
from servers import Sim


def test_every_change_of_a_record_or_row_is_in_the_journal_though_the_simulator_is_killed(tmp_path):
    journal = tmp_path / "journal"
    sim = Sim(tmp_path, args=["--journal", journal])
    sim.start()
    try:
        add_records(sim, 3)
        changed = change_records(sim, 2)
        sim.dataverse("table", table="account", count=2)
        gone = sim.dataverse("delete", table="account", count=1, seed=1)["ids"]
        sim.dataverse("recreate", table="account", ids=gone)
        sim.dataverse("change", table="account", ids=gone)
        records = {one["key"]: one for one in sim.truth(VENDORS, "USMF", hash=1)}
        versions = {row["id"]: row["versionnumber"]
                    for row in map(json.loads, sim.lines("dv/truth?table=account"))}
        sim.kill()
    finally:
        sim.stop()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    newest = {f"{line['company']}|{line['key']}": line for line in lines if "entity" in line}
    assert {key: (line["rev"], line["hash"]) for key, line in newest.items()} == \
        {key: (one["rev"], one["hash"]) for key, one in records.items()}
    assert sum("entity" in line for line in lines) == 3 + len(changed)
    rows = [line for line in lines if "table" in line]
    assert [line["op"] for line in rows] == ["create", "create", "delete", "recreate", "update"]
    assert [line.get("deleted", False) for line in rows] == [False, False, True, False, False]
    assert {line["id"]: line["versionnumber"] for line in rows} == versions
    assert len({line["hash"] for line in rows if "hash" in line}) == 4
