"""Data projects in the simulator, and the feeds of a configuration that read them, in few words."""

import datetime

KEYS = {
    "Vendors V3": ["dataAreaId", "VendorAccountNumber"],
    "Customers V3": ["dataAreaId", "CustomerAccount"],
    "Released products V2": ["dataAreaId", "ItemNumber"],
}

VENDORS, CUSTOMERS, PRODUCTS = KEYS

# Short pauses, for a simulator that needs none.
HASTE = {"poll_interval": "20ms", "poll_max": "200ms"}


def types_of(sim, label):
    """{column: type} of every column of the simulator's entity that is not a string."""
    columns = sim.get("entities")[label]["columns"]
    return {name: kind for name, kind in columns.items() if kind != "string"}


def entity(sim, label=VENDORS, collection="vendors", **changes):
    """One member of a feed's "entities": the simulator's own key and types."""
    return {"collection": collection, "key": KEYS[label], "types": types_of(sim, label), **changes}


def feed(sim, project="Vendors", label=VENDORS, collection="vendors", company="USMF", **changes):
    """A feed of one project with one entity, due every second."""
    return {"source": "fno", "definition_group": project, "legal_entity": company, "every": "1s",
            "entities": {label: entity(sim, label, collection)}, **changes}


def make_project(sim, name="Vendors", labels=(VENDORS,), company="USMF", **more):
    sim.post("project", {"name": name, "company": company, "entities": list(labels), **more})


def add_records(sim, count, label=VENDORS, company="USMF"):
    sim.post("records", {"entity": label, "company": company, "count": count})


def change_records(sim, count, label=VENDORS, company="USMF"):
    """Changes so many records; gives the _ids of their documents."""
    answer = sim.post("change", {"entity": label, "company": company, "count": count})
    return [f"{company.lower()}|{key}" for key in answer["keys"]]


def configure(workspace, sim, feeds=None, **changes):
    """The workspace's configuration with the source in haste; feeds: one feed of vendors.

    A `sources` in changes is laid over it.
    """
    feeds = {"vendors": feed(sim)} if feeds is None else feeds
    config = workspace.config(sim, feeds=feeds, **changes)
    for name, setting in HASTE.items():
        config["sources"]["fno"].setdefault(name, setting)
    return config


def begin(workspace, sim, count=0, **changes):
    """The usual beginning: so many vendors, a project, and a sluice that is at work on it."""
    if count:
        add_records(sim, count)
    make_project(sim)
    return workspace.sluice(configure(workspace, sim, **changes))


def runs(workspace, feed_name="vendors", **query):
    """The journal of a feed, oldest first."""
    return list(workspace.state["runs"].find({"feed": feed_name, **query}).sort("number", 1))


def wait_run(sluice, workspace, number=1, feed_name="vendors", state="done", timeout_s=60):
    """Waits until that run of the feed is in the state; gives its document."""
    query = {"feed": feed_name, "number": number, "state": state}
    return sluice.wait_for(lambda: workspace.state["runs"].find_one(query), timeout_s,
                           f"run {number} of {feed_name} to be {state}")


def wait_fresh_run(sluice, workspace, feed_name="vendors", timeout_s=60):
    """Waits until a run that begins after this call is done; gives its document.

    Runs of a feed follow one another: whatever happened before this call is then in MongoDB.
    """
    query = {"feed": feed_name, "state": "done",
             "created_at": {"$gt": datetime.datetime.now(datetime.timezone.utc)}}
    return sluice.wait_for(lambda: workspace.state["runs"].find_one(query), timeout_s,
                           f"a new run of {feed_name}")


def trouble(sluice):
    """What /readyz complains of, as its text; empty while the port is closed or all is well."""
    try:
        status, text = sluice.ops("/readyz")
    except OSError:
        return ""
    return "" if status == 200 else text


def logged(sluice, message, **fields):
    """The log lines with this message and fields."""
    return [line for line in sluice.log_lines() if line.get("msg") == message
            and fields.items() <= line.items()]
