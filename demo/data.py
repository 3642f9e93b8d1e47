"""What lies in the simulated Dynamics 365, and what changes there: three entities of Finance &
Operations with their data projects, and a table of Dataverse."""

import dataclasses

COMPANY = "USMF"
CHANGES_PER_S = 150  # all entities together
NEW_PER_S = 5        # records that appear meanwhile, of each entity


@dataclasses.dataclass(frozen=True, eq=False)
class Entity:
    feed: str         # also the collection's name
    label: str        # as Dynamics 365 calls it
    project: str      # the data project of the increments
    percent: int      # its share of all rows
    format: dict      # of its data file
    bad_rows: dict    # switches of the simulator
    probe: str        # key of the record whose changes are timed


# One format each, so that the three ways in which tenants are set up are all seen to work.
ENTITIES = (
    Entity("vendors", "Vendors V3", "VendorsExport", 20,
           {"encoding": "utf16le", "newline": "crlf"}, {"wrong_columns": 2}, "usmf|V-000001"),
    Entity("customers", "Customers V3", "CustomersExport", 30,
           {"encoding": "utf8-bom", "newline": "crlf"}, {"untypable": 3, "empty_key": 1},
           "usmf|C-000001"),
    Entity("products", "Released products V2", "ProductsExport", 50,
           {"encoding": "utf8", "newline": "lf"}, {}, "usmf|P-000001"),
)


def split(rows):
    """{entity: number of its records}; the last entity takes what rounding leaves."""
    counts = {entity: rows * entity.percent // 100 for entity in ENTITIES}
    counts[ENTITIES[-1]] += rows - sum(counts.values())
    return counts


def fill(sim, rows):
    """Creates the records and the projects, and spoils a few rows; the table is there and empty."""
    for entity, count in split(rows).items():
        sim.post("records", {"entity": entity.label, "company": COMPANY, "count": count})
        definition = {"company": COMPANY, "entities": [entity.label], "format": entity.format}
        full = entity.project.replace("Export", "Full")
        for name, mode in ((entity.project, "incremental"), (full, "full")):
            sim.post("project", {**definition, "name": name, "mode": mode})
            if entity.bad_rows:
                sim.post("switches", {"project": name, "bad_rows": entity.bad_rows})
    sim.dataverse("table", table=TABLE, count=0)


def start_changes(sim, seconds):
    """Lets people edit records at an even pace for that long; does not wait."""
    for entity in ENTITIES:
        sim.post("change_rate", {"entity": entity.label, "company": COMPANY, "seconds": seconds,
                                 "per_s": CHANGES_PER_S * entity.percent / 100})


def add_records(sim, count):
    """New records of each entity."""
    for entity in ENTITIES:
        sim.post("records", {"entity": entity.label, "company": COMPANY, "count": count})


# --- Dataverse ---

TABLE = "account"
ACCOUNTS = "accounts"  # its feed and its collection
ACCOUNT_ROWS = 1000
ACCOUNT_CHANGES_PER_S = 8
MIX = {"update": 65, "create": 10, "delete": 15, "recreate": 10}  # of these changes


def fill_table(sim):
    """All rows at once; no webhook tells of them."""
    sim.dataverse("table", table=TABLE, count=ACCOUNT_ROWS)


def register_webhook(sim, url, secret):
    sim.dataverse("webhook", url=url, secret={"header": "x-sluice-key", "value": secret},
                  tables=[TABLE])


def start_table_changes(sim, seconds):
    """Lets people edit, create, delete and restore rows for that long; does not wait."""
    sim.dataverse("load", tables=[TABLE], per_s=ACCOUNT_CHANGES_PER_S, seconds=seconds, mix=MIX,
                  seed=2026)


def table_changes_running(sim):
    return sim.get("stats")["dataverse"]["loads_running"] > 0
