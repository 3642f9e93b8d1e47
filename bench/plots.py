"""Draws bench/results by gnuplot: PNG and SVG in docs/bench. What was not measured, or not on a quiet machine,
has no plot.
"""

import json
import shutil
import subprocess

from markdown import NAMES
from report import AGAIN, NOISE, RESULTS
from servers import ROOT, ServerError

PLACE = ROOT / "docs/bench"
TERMINALS = {"png": "pngcairo noenhanced size 900,{height} font 'sans,11'",
             "svg": "svg noenhanced size 900,{height} font 'sans,13' background 'white'"}
SLUICE, PEER, LIMIT = "0x1f6f8b", "0xd98e04", "0x9aa5ab"
COLORS = {"sluice-json": SLUICE, "bento": PEER, "pipeline": "0xa23b3b", "bento-csv": "0x7a5c9e"}
BARS = ("limit-1", "limit-2", "limit-4", "limit-2-insert", "sluice-json", "sluice-bson", "pipeline", "bento-csv", "bento",
        "limit-2-again", "sluice-json-again", "sluice-bson-again", "pipeline-again")
STYLE = """set border 3 lc rgb '#666666'; set tics nomirror textcolor rgb '#333333'
set grid ytics lc rgb '#dddddd' lt 1; set key left top textcolor rgb '#333333'
"""


def draw(say):
    if not shutil.which("gnuplot"):
        raise ServerError("there is no gnuplot; ./dev setup bench installs it")
    latest, growth = load("latest.json", say), load("growth.json", say)
    if not latest and not growth:
        say("nothing is drawn")
        return
    PLACE.mkdir(parents=True, exist_ok=True)
    if latest:
        plot("bulk", bulk(latest), 700)
        if "percentiles_ms" in latest["_meta"]:
            plot("latency", latency(latest["_meta"]["percentiles_ms"]), 450)
    if growth:
        plot("memory", memory(growth["rows"]), 450)
        plot("scaling", scaling(growth), 900)
    say(f"the plots are in {PLACE.relative_to(ROOT)}")


def run(_options, say):
    """The command by itself."""
    draw(say)
    return 0


def load(name, say):
    """None when it was not measured, or on a machine that was busy."""
    path = RESULTS / name
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    others = result["_meta"].get("others_median", 1)
    if others > NOISE:
        say(f"{name} is not drawn: other programs took up to {others:.0%} of the machine meanwhile")
        return None
    return result


def plot(name, script, height):
    for kind, terminal in TERMINALS.items():
        whole = (f"set terminal {terminal.format(height=height)}\n"
                 f"set output '{PLACE / name}.{kind}'\n{STYLE}{script}\nunset output\n")
        done = subprocess.run(["gnuplot"], input=whole, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise ServerError(f"gnuplot cannot draw {name}: {done.stderr[-800:]}")


def data(name, rows):
    """A gnuplot data block."""
    return f"${name} << EOD\n" + "\n".join(" ".join(map(str, row)) for row in rows) + "\nEOD\n"


# --- the plots ---

def bulk(result):
    """Two rows of bars: rows/s, and CPU seconds per 100,000 rows."""
    systems = [name for name in BARS if name in result]
    parts = ["set multiplot layout 2,1", "set style fill solid", "set boxwidth 0.65", "set key off",
             "set xtics rotate by -15", f"set xrange [-0.6:{len(systems) - 0.4}]", "set yrange [0:*]",
             "set offsets 0,0,graph 0.12,0",
             "set lmargin 10"]
    for number, (key, title, form) in enumerate((
            ("rows_per_s", "rows a second, from the package into MongoDB (more is better)", ",.0f"),
            ("cpu_s_per_100k", "CPU seconds per 100,000 rows (less is better)", ".2f"))):
        rows = [(at, result[name][key], color(name), f'"{format(result[name][key], form)}"', f'"{name}"')
                for at, name in enumerate(systems)]
        parts += [data(f"bars{number}", rows), f"set title '{title}'",
                  f"plot $bars{number} using 1:2:3:xtic(5) with boxes lc rgb variable, "
                  "'' using 1:2:4 with labels offset 0,0.7"]
    return "\n".join([*parts, "unset multiplot"])


def color(name):
    return SLUICE if name.startswith("sluice") else LIMIT if name.startswith("limit") else COLORS[name.removesuffix(AGAIN)]


def latency(percentiles_ms):
    curves = [data(f"c{at}", enumerate(percentiles[:-1], 1))
              for at, percentiles in enumerate(percentiles_ms.values())]
    lines = ", ".join(f"$c{at} using 1:2 with lines lw 2.5 lc rgb {COLORS[name]} title '{title(name)}'"
                      for at, name in enumerate(percentiles_ms))
    return "\n".join([
        *curves, "set title 'one change, 20 a second: from the post until it can be read in MongoDB'",
        "set xlabel 'percentile'; set ylabel 'milliseconds'", "set logscale y",
        "set xrange [1:99]; set xtics (1, 25, 50, 75, 90, 95, 99)", f"plot {lines}"])


def title(name):
    return NAMES[name].replace("*", "")


def memory(by_system):
    return "\n".join([
        "set title 'peak memory of all processes, by the size of the package'",
        "set xlabel 'rows'; set ylabel 'MiB'", "set logscale xy", "set format x '10^{%L}'",
        "set termoption enhanced", curves_of(by_system, "rss_mib")])


def curves_of(by_system, key):
    """Lines with points: {system: {size: numbers}}."""
    blocks = [data(f"m{at}", ((size, numbers[key]) for size, numbers in sizes.items()))
              for at, sizes in enumerate(by_system.values())]
    lines = ", ".join(f"$m{at} using 1:2 with linespoints lw 2 pt 7 lc rgb {COLORS[name]} "
                      f"title '{title(name)}'" for at, name in enumerate(by_system))
    return "\n".join(blocks) + f"\nplot {lines}"


def scaling(growth):
    feeds, appliers = growth["feeds"], growth["appliers"]
    return "\n".join([
        "set multiplot layout 2,2", "set termoption enhanced",
        "set title 'rows a second, by rows'", "set logscale x", "set format x '10^{%L}'",
        "set yrange [0:*]", curves_of({"sluice-json": growth["rows"]["sluice-json"]}, "rows_per_s"),
        "unset logscale", "set format x '%g'", "set title 'rows a second, by appliers of one queue'",
        "set xrange [0.5:4.5]; set xtics (1, 2, 4)", "set key off",
        curves_of({"sluice-json": appliers}, "rows_per_s"),
        "set title 'p99 of one change in ms, by feeds'", "set logscale x",
        "set xrange [0.8:1200]; set xtics (1, 10, 100, 1000)", curves_of({"sluice-json": feeds}, "p99_ms"),
        "set title 'peak memory in MiB, by feeds'", curves_of({"sluice-json": feeds}, "rss_mib"),
        "unset multiplot"])
