"""Tables of Dataverse become documents: pages, changes, types, columns."""

from feeds import logged
from process import wait_until
from tables import Tables


def test_pages_and_changes_bring_every_kind_of_column(sim, workspace):
    scene = Tables(sim, workspace, {"account": 450, "contact": 120, "product": 120, "new_tag": 0,
                                    "mserp_vendvendorv2entity": 30},
                   feeds={"contact": {"formatted_values": True},
                          "product": {"select": ["name", "price", "_ownerid_value"]}})
    sluice = scene.sluice()
    scene.wait_followed()
    assert scene.stats()["next_links"] == 4 + 1 + 1, "pages of 100"
    for table in ("account", "contact", "product"):
        changed = scene.change(table, count=40)
        deleted = scene.delete(table, count=15)
        scene.recreate(table, ids=deleted[:5])
        scene.delete(table, ids=scene.create(4, table)[:2])
        scene.change(table, ids=[one for one in changed if one not in deleted])
    scene.create(3, "new_tag")
    scene.check_nothing_lost()
    assert all(scene.tombstones(table) for table in ("account", "contact", "product"))
    assert not any(scene.user()["throttled"].values())
    assert sluice.stop() == 0


def test_labels_and_the_tables_of_lookups_can_be_queried_and_indexed(sim, workspace):
    scene = Tables(sim, workspace, {"contact": 60}, feeds={"contact": {"formatted_values": True}})
    scene.sluice()
    scene.wait_followed()
    contacts = scene.documents("contact")
    assert not [name for one in contacts.find() for name in one if "." in name]
    label = contacts.find_one({"gendercode": {"$ne": None}})["gendercode@formatted"]
    contacts.create_index("gendercode@formatted")
    found = list(contacts.find({"gendercode@formatted": label}, {"_ownerid_value@table": 1}))
    assert found and all(one["_ownerid_value@table"] for one in found)
    plan = contacts.find({"gendercode@formatted": label}).explain()["queryPlanner"]["winningPlan"]
    assert plan["inputStage"]["stage"] == "IXSCAN"


def test_a_page_that_leads_to_the_next_one_and_to_the_changes_is_not_the_last(sim, workspace):
    scene = Tables(sim, workspace, {"account": 450})
    scene.switch(dv_both_links=True)
    scene.sluice()
    scene.wait_followed()
    assert scene.stats()["next_links"] == 4, "pages of 100"
    gone = scene.delete(count=120)
    scene.change(count=320)
    scene.wait_followed()
    assert scene.tombstones().keys() == set(gone)
    assert scene.stats()["next_links"] >= 4 + 4
    scene.check_nothing_lost()


def test_new_columns_have_their_types_without_a_restart(sim, workspace):
    scene = Tables(sim, workspace, {"account": 150, "contact": 50}, sweep_limit=0)
    sluice = scene.sluice()
    scene.wait_followed()
    for table, expire in (("account", True), ("contact", False)):
        for name, kind in (("new_ratio", "Decimal"), ("new_when", "DateTime"), ("new_big", "BigInt"),
                           ("new_sum", "Money")):
            sim.dataverse("metadata", table=table, add_column=name, type=kind, expire=expire)
    scene.change("contact", count=50)
    wait_until(lambda: not scene.differences("account"), 20, "account being read again")
    scene.check_nothing_lost(reshaped=["account"])
    scene.change("account", count=80)
    scene.check_nothing_lost(reshaped=["account"])
    assert scene.documents("contact").count_documents({"new_ratio": {"$type": "decimal"}}) > 10
    assert sluice.metrics().value("sluice_full_reads_total", feed="account") >= 1
    assert not logged(sluice, "full read begins", feed="contact", level="warn")


def test_a_table_is_read_again_when_other_columns_are_wanted(sim, workspace):
    scene = Tables(sim, workspace, {"account": 150, "contact": 60}, sweep_limit=0,
                   feeds={"account": {"select": ["name"]}})
    sluice = scene.sluice()
    scene.check_nothing_lost()
    assert sluice.stop() == 0

    scene.feeds = {"account": {"select": ["name", "creditlimit", "createdon"]},
                   "contact": {"formatted_values": True}}
    again = scene.sluice()
    wait_until(lambda: not scene.differences("account") and not scene.differences("contact"), 20,
               "documents of the new shape")
    scene.change("account", count=20)
    scene.check_nothing_lost(reshaped=["account", "contact"])
    assert again.restart(ready_timeout_s=20) == 0
    scene.change("account", count=20)
    scene.check_nothing_lost(reshaped=["account", "contact"])
    begun = logged(again, "full read begins")
    assert sorted(line["feed"] for line in begun) == ["account", "contact"]
