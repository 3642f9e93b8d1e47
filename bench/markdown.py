"""The table of the README, as ./dev bench prints it, and how --publish puts one into a page."""

import report
from servers import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- ./dev bench --publish writes this -->", "<!-- until here -->"
COLUMNS = (("rows_per_s", "rows/s", ",.0f"), ("cpu_s_per_100k", "CPU s per 100,000 rows", ".2f"),
           ("rss_mib", "peak MiB", ",.0f"), ("p50_ms", "p50 ms", ".1f"), ("p99_ms", "p99 ms", ".1f"),
           ("cpu_ms_per_change", "CPU ms a change", ".2f"))
PLOTS = (("bulk", "rows a second and CPU time"), ("latency", "one change, by percentile"))
NAMES = {"sluice-json": "**sluice**", "sluice-bson": "**sluice**, BSON messages", "bento": "Bento, from the zip",
         "bento-csv": "Bento, from unzipped CSV", "pipeline": "pandas, API and consumer in Go",
         "limit-1": "MongoDB alone, 1 connection", "limit-2": "MongoDB alone, 2 connections",
         "limit-4": "MongoDB alone, 4 connections", "limit-2-insert": "MongoDB alone, 2 connections, insertions",
         "limit-1-plain": "MongoDB alone, 1 connection, no guard", "limit-2-plain": "MongoDB alone, 2 connections, no guard",
         "limit-4-plain": "MongoDB alone, 4 connections, no guard",
         "sluice-json-again": "**sluice**, over existing documents",
         "sluice-bson-again": "**sluice**, BSON messages, over existing documents",
         "pipeline-again": "pandas, API and consumer in Go, over existing documents",
         "limit-2-again": "MongoDB alone, 2 connections, over existing documents"}


def block(result, meta):
    """The lines of the table: systems, then CSV parsers, then where and when."""
    yield "| | " + " | ".join(title for _, title, _ in COLUMNS) + " |"
    yield "|---|" + "---:|" * len(COLUMNS)
    for name, title in NAMES.items():
        if name in result:
            yield f"| {title} | " + " | ".join(
                format(result[name][key], form) if key in result[name] else ""
                for key, _, form in COLUMNS) + " |"
    yield ""
    yield from csv(result.get("csv_gb_per_s"))
    yield from at_rest(result)
    yield from broker(meta.get("broker"))
    yield from notes(meta)
    versions = ", ".join(f"{name} {version}" for name, version in meta["versions"].items())
    yield "Plots: " + " · ".join(f"[{title}](docs/bench/{name}.svg)" for name, title in PLOTS) + "\n"
    yield (f"{meta['at'][:10]}, {meta['cpus']} CPUs ({meta['cpu']}), {meta['rows']:,} rows, medians of "
           f"{meta['rounds_each']} rounds; {meta['sluice']}, {versions}. {report.others_line(meta)}")


def at_rest(result):
    if "idle_cpu_percent" in result:
        yield (f"Idle, with 300 feeds: {result['idle_cpu_percent']:.2f} % of one core. From the start until it is ready: "
               f"{result['start_ms']:.0f} ms, with 300 feeds {result['start_300_ms']:.0f} ms.\n")


def broker(measured):
    if measured:
        took = ", ".join(f"{one['messages_per_s']:,.0f} messages of {size} a second ({one['mb_per_s']:,.0f} MB/s)"
                         for size, one in measured.items())
        yield f"RabbitMQ alone, by PerfTest, through one quorum queue with confirms: {took}.\n"


def notes(meta):
    """What must be known to read the numbers."""
    yield ("sluice has its default settings, but looks every 50 ms instead of every 2 s whether an export is finished: that is "
           "a setting, not throughput. Rows go into an empty collection, where it inserts, unless existing documents are "
           "named: those are older, and each is written again. MongoDB alone is upserts with sluice's guard, of documents ready "
           f"in memory, unless said otherwise. p50, p99 and CPU time of a change: medians of {meta['change_rounds']} rounds of "
           f"{meta['changes_each']} posts, 20 a second.\n")


def csv(result):
    if not result:
        return
    files = list(next(iter(result.values())))
    yield "| CSV, GB/s on one core | " + " | ".join(files) + " |"
    yield "|---|" + "---:|" * len(files)
    for parser, by_file in result.items():
        yield f"| {parser} | " + " | ".join(f"{by_file[name]:.2f}" for name in files) + " |"
    yield ""


def publish(lines, page=README, begin=BEGIN):
    """Puts the lines between the two marks of the page."""
    text = page.read_text()
    before, rest = text.split(begin, 1)
    after = rest.split(END, 1)[1]
    page.write_text("\n".join([before + begin, *lines, END]) + after)
