import time
from scene import Scene
from process import wait_until

def test_hung_broker_midrun(sim, own_rabbit, workspace):
    sim.post("switches", {"slow_body_bytes_per_s": 20_000})
    scene=Scene(sim, workspace, records=3000)
    sluice=scene.sluice(limits={"batch_rows": 20})
    sluice.wait_for(lambda: scene.documents.estimated_document_count() > 60, 30, "a run at work")
    own_rabbit.pause()
    time.sleep(0.5)
    t=time.monotonic()
    try:
        rc=sluice.stop(timeout_s=20)
        print("SECONDS", time.monotonic()-t, "RC", rc)
    finally:
        own_rabbit.resume()
    assert rc==0
    sim.post("switches", {"slow_body_bytes_per_s": 0})
    sluice.start(ready_timeout_s=40)
    scene.check_nothing_lost(60)
