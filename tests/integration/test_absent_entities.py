"""Entities that the configuration names and a package lacks: a name that is misspelt, a data project that
does not have them, a package that is larger than it may be. Nothing of it may pass for "no changes"."""

from books import check_run
from feeds import (CUSTOMERS, VENDORS, add_records, change_records, configure, entity, feed, logged,
                   make_project, runs, trouble, wait_run)
from mailbox import Hook, Mailbox
from process import wait_until
from truth import differences, documents


def is_right(sim, workspace, label, collection):
    return not differences(workspace.db[collection], documents(sim, label))


def wait_complaint(sluice, *words):
    return sluice.wait_for(lambda: all(word in trouble(sluice) for word in words), 30, " ".join(words))


def correct(sluice, workspace, sim, one, ready=True):
    """The configuration is corrected, and sluice started again."""
    assert not sluice.running() or sluice.stop() == 0
    sluice.config = {**configure(workspace, sim, {"vendors": one}), "ops": sluice.config["ops"]}
    sluice.write_config()
    sluice.start(30 if ready else None)


def test_a_misspelt_entity_stops_the_first_run_and_its_package_is_kept(sim, workspace):
    add_records(sim, 30)
    make_project(sim)
    one = feed(sim)
    wrong = {**one, "entities": {"Vendor V3": one["entities"][VENDORS]}}
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": wrong}))
    wait_complaint(sluice, "nothing of entity 'Vendor V3'", "'Vendors V3'", "correct the name under entities")
    assert [one["state"] for one in runs(workspace)] == ["streaming"]
    correct(sluice, workspace, sim, one)
    done = wait_run(sluice, workspace)
    assert check_run(workspace, done)["read"] == 30
    assert is_right(sim, workspace, VENDORS, "vendors")


def test_nor_is_it_lost_where_the_feed_was_called_otherwise_before(sim, workspace):
    """What it brought under that name is no other feed's."""
    add_records(sim, 30)
    make_project(sim)
    one = feed(sim)
    sluice = workspace.sluice(configure(workspace, sim, {"suppliers": one}))
    wait_run(sluice, workspace, feed_name="suppliers")
    assert sluice.stop() == 0
    change_records(sim, 7)
    one["formerly"] = "suppliers"
    correct(sluice, workspace, sim, {**one, "entities": {"Vendor V3": one["entities"][VENDORS]}}, ready=False)
    wait_complaint(sluice, "nothing of entity 'Vendor V3'")
    correct(sluice, workspace, sim, one)
    assert check_run(workspace, wait_run(sluice, workspace))["read"] == 7
    assert is_right(sim, workspace, VENDORS, "vendors")


def test_entities_that_nobody_wants_are_passed_over_when_all_that_are_wanted_are_there(sim, workspace):
    for label in (VENDORS, CUSTOMERS):
        add_records(sim, 20, label)
    make_project(sim, labels=(CUSTOMERS, VENDORS))
    sluice = workspace.sluice(configure(workspace, sim))
    assert check_run(workspace, wait_run(sluice, workspace))["read"] == 20
    change_records(sim, 3, CUSTOMERS)  # a package without a row that is wanted: no changes
    assert check_run(workspace, wait_run(sluice, workspace, 3))["read"] == 0
    assert is_right(sim, workspace, VENDORS, "vendors")


def test_an_entity_that_is_called_otherwise_one_day_is_told_once(sim, workspace):
    for label in (VENDORS, CUSTOMERS):
        add_records(sim, 20, label)
    make_project(sim)
    with Mailbox() as mailbox:
        sluice = workspace.sluice(configure(workspace, sim, alerts=mailbox.alerts()))
        wait_run(sluice, workspace)
        make_project(sim, labels=(CUSTOMERS,))  # the same project, as if the label had been translated
        for _ in range(2):
            wait_run(sluice, workspace, runs(workspace)[-1]["number"] + 1)
        told = logged(sluice, "an entity is not in the package", entity=VENDORS, found=CUSTOMERS)
        assert len(told) == 1
        wait_until(lambda: any("correct the name under entities" in mail.get_content()
                               for mail in mailbox.mails), 20, "a mail")


def test_an_entity_without_rows_that_shares_a_collection_does_not_keep_a_feed_from_healing(sim, workspace):
    add_records(sim, 30)
    make_project(sim, labels=(VENDORS, CUSTOMERS))
    make_project(sim, "VendorsFull", labels=(VENDORS, CUSTOMERS), mode="full")
    sim.post("switches", {"zero_rows": "no_file"})
    one = feed(sim, full_definition_group="VendorsFull")
    one["entities"][CUSTOMERS] = one["entities"][VENDORS]
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": one}))
    wait_run(sluice, workspace)
    sim.post("switches", {"project": "Vendors", "final_status": "Failed", "fail_next": 1,
                          "failed_moves_watermark": True})
    change_records(sim, 10)
    sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full export")
    sluice.wait_for(lambda: "suspect" not in workspace.state["feeds"].find_one({"_id": "vendors"}), 30,
                    "no suspicion")
    assert is_right(sim, workspace, VENDORS, "vendors")


def test_an_entity_that_has_lost_all_rows_and_has_no_file_heals_and_is_swept(sim, workspace):
    """The manifest names it: it was exported, and is empty."""
    for label in (VENDORS, CUSTOMERS):
        add_records(sim, 30, label)
    make_project(sim, labels=(VENDORS, CUSTOMERS))
    make_project(sim, "VendorsFull", labels=(VENDORS, CUSTOMERS), mode="full")
    one = feed(sim, full_definition_group="VendorsFull")
    one["entities"][CUSTOMERS] = entity(sim, CUSTOMERS, "customers")
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": one}))
    wait_run(sluice, workspace)
    sim.post("switches", {"zero_rows": "no_file"})
    sim.post("delete", {"entity": CUSTOMERS, "company": "USMF", "count": 30})
    sim.post("switches", {"project": "Vendors", "final_status": "Failed", "fail_next": 1,
                          "failed_moves_watermark": True})
    change_records(sim, 10)
    full = sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full export")[0]
    assert not full.get("error")
    sluice.wait_for(lambda: "suspect" not in workspace.state["feeds"].find_one({"_id": "vendors"}), 30,
                    "no suspicion")
    refused = sluice.command("refresh", "vendors")
    assert "30 of 30 documents in 'customers' would be deleted" in refused.stdout, refused.stdout
    forced = sluice.command("refresh", "vendors", "--force")
    assert forced.returncode == 0, forced.stdout
    assert not workspace.db["customers"].count_documents({"_sluice.deleted": {"$exists": False}})


def test_a_full_export_without_an_entity_heals_nothing(sim, workspace):
    for label in (VENDORS, CUSTOMERS):
        add_records(sim, 30, label)
    make_project(sim, labels=(VENDORS, CUSTOMERS))
    make_project(sim, "VendorsFull", labels=(VENDORS,), mode="full")  # customers were forgotten here
    one = feed(sim, full_definition_group="VendorsFull")
    one["entities"][CUSTOMERS] = entity(sim, CUSTOMERS, "customers")
    with Mailbox() as mailbox:
        sluice = workspace.sluice(configure(workspace, sim, {"vendors": one}, alerts=mailbox.alerts()))
        wait_run(sluice, workspace)
        sim.post("switches", {"project": "Vendors", "final_status": "Failed", "fail_next": 1,
                              "failed_moves_watermark": True})
        change_records(sim, 10, CUSTOMERS)
        full = sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full export")[0]
        assert "no rows of entity 'Customers V3', of which 30 documents are stored" in full["error"]
        assert "is the entity in VendorsFull?" in full["error"]
        assert "suspect" in workspace.state["feeds"].find_one({"_id": "vendors"})
        wait_until(lambda: any("Customers V3" in mail.get_content() or "heals nothing" in mail["Subject"]
                               for mail in mailbox.mails), 20, "a mail")
        make_project(sim, "VendorsFull", labels=(VENDORS, CUSTOMERS), mode="full")
        sluice.wait_for(lambda: "suspect" not in workspace.state["feeds"].find_one({"_id": "vendors"}), 60,
                        "no suspicion")
    assert is_right(sim, workspace, CUSTOMERS, "customers")


def add_customers_midway(sim, workspace, sluice):
    """Customers are added to the project, exported, and configured while that export is under way."""
    change_records(sim, 2)
    make_project(sim, labels=(VENDORS, CUSTOMERS))
    sim.post("switches", {"project": "Vendors", "export_ms": 3000})  # a project made anew has forgotten it
    number = runs(workspace)[-1]["number"]
    sluice.wait_for(lambda: runs(workspace, state="executing", number={"$gt": number}), 30, "an export")
    sluice.config["feeds"]["vendors"]["entities"][CUSTOMERS] = entity(sim, CUSTOMERS, "customers")
    sluice.write_config()
    sluice.reload()
    sim.post("switches", {"project": "Vendors", "export_ms": 50})


def test_an_entity_added_while_a_run_is_under_way_is_read_with_it(sim, workspace):
    for label in (VENDORS, CUSTOMERS):
        add_records(sim, 30, label)
    make_project(sim)
    sluice = workspace.sluice(configure(workspace, sim))
    wait_run(sluice, workspace)
    add_customers_midway(sim, workspace, sluice)
    sluice.wait_for(lambda: is_right(sim, workspace, CUSTOMERS, "customers"), 30, "the customers")
    assert logged(sluice, "entity configured since the export", entity=CUSTOMERS)


def test_one_whose_collection_another_feed_fills_comes_with_a_full_export(sim, workspace):
    """Its export may be newer than the one under way."""
    for label, company in ((VENDORS, "USMF"), (CUSTOMERS, "USMF"), (CUSTOMERS, "DEMF")):
        add_records(sim, 30, label, company)
    make_project(sim)
    make_project(sim, "Other", labels=(CUSTOMERS,), company="DEMF")
    make_project(sim, "VendorsFull", labels=(VENDORS, CUSTOMERS), mode="full")
    other = feed(sim, "Other", CUSTOMERS, "customers", "DEMF")
    with Hook() as hook:
        sluice = workspace.sluice(configure(workspace, sim, {
            "vendors": feed(sim, full_definition_group="VendorsFull"), "other": other}, alerts=hook.alerts()))
        wait_run(sluice, workspace)
        wait_run(sluice, workspace, feed_name="other")
        add_customers_midway(sim, workspace, sluice)
        ours = {one["key"] for one in sim.truth(CUSTOMERS, "USMF")}
        sluice.wait_for(lambda: ours <= set(workspace.db["customers"].distinct("_id")), 30, "the customers")
        told = sluice.wait_for(lambda: hook.told("raised", "run_failed"), 20, "an alert")[0]
        assert "file of entity 'Customers V3' was passed over" in told["text"]
        assert "another feed may fill 'customers', too; a full export follows" in told["text"]
        sluice.wait_for(lambda: hook.told("over", "run_failed"), 30, "its end")


def test_a_package_larger_than_allowed_is_kept_until_it_is_allowed(sim, workspace):
    add_records(sim, 3000)
    make_project(sim)
    one = feed(sim, max_package="256KiB")
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": one}))
    wait_complaint(sluice, "more than max_package of the feed, 262144 bytes", "raise that")
    correct(sluice, workspace, sim, {**one, "max_package": "1GiB"})
    assert check_run(workspace, wait_run(sluice, workspace))["read"] == 3000
    assert is_right(sim, workspace, VENDORS, "vendors")


def test_a_full_export_of_changes_only_heals_nothing(sim, workspace):
    add_records(sim, 30)
    make_project(sim)
    make_project(sim, "VendorsFull", mode="incremental")  # somebody forgot to set it to full
    with Mailbox() as mailbox:
        sluice = workspace.sluice(configure(workspace, sim, {"vendors": feed(
            sim, full_definition_group="VendorsFull")}, alerts=mailbox.alerts()))
        wait_run(sluice, workspace)
        sim.post("switches", {"project": "Vendors", "final_status": "Failed", "fail_next": 1,
                              "failed_moves_watermark": True})
        change_records(sim, 10)
        full = sluice.wait_for(lambda: runs(workspace, state="done", full=True), 30, "a full export")[0]
        assert "brought changes only: set the entities of VendorsFull" in full["error"]
        assert "suspect" in workspace.state["feeds"].find_one({"_id": "vendors"})
        wait_until(lambda: any("heals nothing" in mail["Subject"] for mail in mailbox.mails), 20, "a mail")
        make_project(sim, "VendorsFull", mode="full")
        sluice.wait_for(lambda: "suspect" not in workspace.state["feeds"].find_one({"_id": "vendors"}), 60,
                        "no suspicion")
    assert is_right(sim, workspace, VENDORS, "vendors")
