"""What RabbitMQ takes at most, by its own PerfTest: one producer with confirms, one consumer, a quorum queue,
persistent messages of 1 KB and of 1 MB. No sluice, no MongoDB.
"""

import re
import subprocess

from peers import TOOLS

SECONDS = 15
CASES = {"1 KB": (1000, 512, 256), "1 MB": (1_000_000, 16, 8)}  # bytes, unconfirmed at most, prefetch
QUEUE = "perftest"
_RATE = re.compile(r"(sending|receiving) rate avg: ([0-9.]+) msg/s")


def there():
    return (TOOLS / "perftest").is_dir()


def measure(stage):
    """{size: {"messages_per_s", "mb_per_s"}}, of what the consumer has received."""
    return {name: one(stage, *numbers)
            for name, numbers in CASES.items()}


def one(stage, size, unconfirmed, prefetch):
    done = subprocess.run([
        "java", "-cp", f"{TOOLS}/perftest/*", "com.rabbitmq.perf.PerfTest",
        "--uri", stage.rabbit.url.rstrip("/"),  # with the slash Java takes an empty name for the vhost
        "--quorum-queue", "--queue", QUEUE, "--flag", "persistent", "--confirm", str(unconfirmed),
        "--qos", str(prefetch), "--multi-ack-every", str(prefetch // 2), "--size", str(size),
        "--time", str(SECONDS)], capture_output=True, text=True, timeout=SECONDS + 60)
    rates = dict(_RATE.findall(done.stdout))
    delete_queue(stage)
    if "receiving" not in rates:
        raise OSError(f"PerfTest has told no rates: {done.stdout[-500:]}{done.stderr[-500:]}")
    per_s = float(rates["receiving"])
    return {"messages_per_s": per_s, "mb_per_s": round(per_s * size / 1e6, 1)}


def delete_queue(stage):
    connection = stage.rabbit.connect()
    connection.channel().queue_delete(QUEUE)
    connection.close()


def table(result):
    yield f"\n  {'RabbitMQ alone (PerfTest)':26}{'messages/s':>12}{'MB/s':>10}"
    for name, one_size in result.items():
        yield f"  {name:26}{one_size['messages_per_s']:>12,.0f}{one_size['mb_per_s']:>10,.0f}"
