"""With what it was measured: versions of the servers, of what sluice is linked with, and of the peers."""

import os
import pathlib
import re
import subprocess

from servers import ROOT, build_dir

PEERS, RUST = ROOT / "bench/peers", ROOT / "bench/csv/rust/Cargo.toml"
BENTO, PIPELINE, PYTHON = PEERS / "bento/go.mod", PEERS / "pipeline/go.mod", PEERS / "requirements.txt"


def versions():
    """{name: version}. Peers' are those that their own files pin."""
    return {"MongoDB": first_line(ROOT / "build/tools/bin/mongod", "--version").split(" v")[-1],
            "RabbitMQ": _debian("rabbitmq-server"), **_linked(),
            "Bento": _pinned(BENTO, "warpstreamlabs/bento"),
            "mongo-driver": _of_both("go.mongodb.org/mongo-driver", "/v2"),
            "amqp091-go": _of_both("rabbitmq/amqp091-go"), "goccy/go-json": _pinned(PIPELINE, "goccy/go-json"),
            "Go": _built_by(ROOT / "build/tools/bench/bento"),
            "pandas": _found(PYTHON, r"^pandas==(\S+)"), "pyarrow": _found(PYTHON, r"^pyarrow==(\S+)"),
            "csv": _found(RUST, r'^csv = "=(\S+)"'), "simd-csv": _found(RUST, r'^simd-csv = "=(\S+)"'),
            "libcsv": _debian("libcsv-dev"), **_zsv(),
            "PerfTest": _found(PEERS / "perftest/pom.xml", r"perf-test</artifactId>\s*<version>([^<]+)")}


def isa_l():
    """Whether sluice, as it was built, inflates by ISA-L."""
    return "libisal" in subprocess.run(["ldd", build_dir() / "src/sluice"], capture_output=True, text=True,
                                       timeout=30).stdout


def _linked():
    inflates = {"ISA-L": _debian("libisal2")} if isa_l() else {"zlib instead of ISA-L": _debian("zlib1g")}
    return {"libmongoc": _debian("libmongoc-1.0-0"), "yajl": _debian("libyajl2"), **inflates}


def _zsv():
    """Nothing when it took no part. It was built elsewhere, so its own program or its repository tells."""
    place = os.environ.get("ZSV_DIR")
    if not place or not (build_dir() / "bench/csv/bench-csv-zsv").is_file():
        return {}
    return {"zsv": _zsv_says(pathlib.Path(place)) or _described(pathlib.Path(place)) or "of unknown version"}


def _zsv_says(place):
    program = place / "bin/zsv"
    said = re.search(r"version v?(\S+)", first_line(program, "version")) if program.is_file() else None
    return said.group(1) if said else None


def _described(place):
    """By git, when it lies in a repository of zsv's."""
    def git(*words):
        return subprocess.run(["git", "-C", place, *words], capture_output=True, text=True, timeout=30).stdout.strip()
    top = git("rev-parse", "--show-toplevel")
    return git("describe", "--tags", "--always") if top and (pathlib.Path(top) / "include/zsv.h").is_file() else None


def _of_both(module, major=""):
    """The pipeline's, and Bento's if that is another one."""
    ours, theirs = _pinned(PIPELINE, module + major), _pinned(BENTO, module)
    return ours if ours == theirs else f"{ours} (Bento's {theirs})"


def _pinned(go_mod, module):
    return _found(go_mod, re.escape(module) + r" v(\S+)")


def _found(path, pattern):
    return re.search(pattern, path.read_text(), re.MULTILINE).group(1)


def _built_by(program):
    """The Go that built it, which go.mod only bounds from below."""
    if not program.exists():
        return "none"
    found = re.search(rb"\xff Go buildinf:.{2,20}?(go[0-9.]+)", program.read_bytes(), re.DOTALL)
    return found.group(1).decode().removeprefix("go") if found else "unknown"


def _debian(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                          text=True, timeout=30)
    return done.stdout.split("-")[0].split("+")[0] or "unknown"


def first_line(program, argument):
    done = subprocess.run([program, argument], capture_output=True, text=True, timeout=30)
    return (done.stdout or done.stderr).strip().split("\n")[0]
