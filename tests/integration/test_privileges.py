"""What sluice may do and who may look inside: an ordinary user's rights, no file written, no look at its
memory, secrets wiped that are not needed any more, and a unit for systemd that says the same."""

import os
import pathlib
import re
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile

import pytest

from feeds import add_records, configure, make_project, wait_run
from intruder import copies
from process import ROOT, build_dir, free_port, wait_until
from programs import SANITIZER_ENV, Sluice

NOBODY = 65534
UNIT = ROOT / "share/sluice.service"


def status_of(pid):
    return dict(line.split(":\t", 1) for line in
                pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


@pytest.fixture
def den():
    """A folder that an ordinary user may enter, unlike those of the tests."""
    with tempfile.TemporaryDirectory(prefix="sluice-den-") as name:
        path = pathlib.Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def humble(workspace, sim, den):
    """A sluice of a user without any right, at work. Where the tests are not root's it is theirs."""
    add_records(sim, 100)
    make_project(sim)
    binary = den / "sluice"
    shutil.copy(build_dir() / "src/sluice", binary)
    sluice = Sluice(den, binary, configure(workspace, sim), "humble")
    if os.geteuid() == 0:
        os.chown(sluice.config_path, NOBODY, NOBODY)
        sluice.args = ["setpriv", "--pdeathsig=KILL", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                       "--bounding-set=-all", *sluice.args]
    workspace.sluices.append(sluice)
    sluice.start(30)
    wait_run(sluice, workspace)
    return sluice


def as_stranger(*command):
    """(status, what was said) of a command of that same user."""
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd="/", **user)
    return done.returncode, done.stderr


def test_rows_arrive_without_any_right(humble, workspace):
    assert workspace.db["vendors"].count_documents({}) == 100
    seen = status_of(humble.pid)
    assert os.geteuid() != 0 or seen["Uid"].split() == [str(NOBODY)] * 4
    for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(seen[kind], 16) == 0
    assert (seen["NoNewPrivs"], seen["Seccomp"], seen["Threads"]) == ("1", "2", "1")
    assert any(line.get("sandbox") == "on" for line in humble.log_lines())
    assert humble.stop() == 0


def test_nothing_is_written_but_the_log(humble, den):
    """Of all that it has open, and of all that lies where it was started."""
    for entry in os.scandir(f"/proc/{humble.pid}/fd"):
        target = os.readlink(entry.path)
        flags = re.search(r"flags:\s*(\d+)", pathlib.Path(
            f"/proc/{humble.pid}/fdinfo/{entry.name}").read_text()).group(1)
        regular = stat.S_ISREG(os.stat(entry.path).st_mode)
        assert not regular or int(flags, 8) & os.O_ACCMODE == os.O_RDONLY or target == str(
            humble.log_path), target
    assert humble.stop() == 0
    assert {path.name for path in den.iterdir()} == {"sluice", "humble.jsonc", "humble.log"}


def test_others_of_the_same_user_cannot_look_inside(humble):
    proc = f"/proc/{humble.pid}"
    for file in ("mem", "environ", "maps", "auxv"):
        assert os.stat(f"{proc}/{file}").st_uid == 0
        status, said = as_stranger("cat", f"{proc}/{file}")
        assert status != 0 and "Permission denied" in said, file
    status, said = as_stranger("ls", f"{proc}/fd")
    assert status != 0 and "Permission denied" in said
    # The same of a program that does not hide, or the test would prove nothing.
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **user) as other:
        wait_until(lambda: as_stranger("cat", f"/proc/{other.pid}/environ")[0] == 0, 5, "reading it")
        other.kill()
    assert re.search(r"Max core file size\s+0\s+0", pathlib.Path(f"{proc}/limits").read_text())


def test_no_secret_is_in_the_command_line(humble, sim):
    command = pathlib.Path(f"/proc/{humble.pid}/cmdline").read_bytes().split(b"\0")
    assert [os.path.basename(word) for word in command if word] == \
        [b"sluice", b"run", b"-c", b"humble.jsonc"]
    done = subprocess.run([build_dir() / "src/sluice", "help", "run"], text=True, capture_output=True,
                          timeout=20, check=True)
    assert not re.search(r"--(password|secret|token|url)\b", done.stdout)


# --- secrets in memory ---

def log_in_as(rabbit, mongo, user, password):
    """A user for that password on both servers; gives the login as URLs spell it."""
    rabbit.ctl("eval", f"rabbit_auth_backend_internal:add_user(<<\"{user}\">>, <<\"{password}\">>, "
                       f"<<\"test\">>), rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, "
                       "<<\"/\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>).")
    with mongo.connect() as client:
        client.admin.command("createUser", user, pwd=password, roles=["root"])
    return f"{user}:{password}@"


def libmongoc_keeps_passwords():
    """Versions after 1.23 have a cache of logins: docs/SECURITY.md."""
    done = subprocess.run(["pkg-config", "--modversion", "libmongoc-1.0"], capture_output=True, text=True,
                          timeout=20)
    return not done.stdout.startswith("1.23.")


def test_secrets_that_are_not_needed_any_more_are_wiped(workspace, sim, rabbit, mongo):
    """After a reload with other secrets the old ones are nowhere in the memory: neither in the text of
    the configuration nor in what was made of it, nor in what the libraries freed."""
    if os.geteuid() != 0:
        pytest.fail("run as root: nobody else may read this memory, which is what hide.c is for")
    add_records(sim, 50)
    make_project(sim)
    secret = workspace.dir / "secret"
    secret.write_text(sim.client_secret)
    secret.chmod(0o600)
    before, after = (log_in_as(rabbit, mongo, f"{time}-{workspace.database}", f"{time}-{secrets.token_hex(8)}")
                     for time in ("before", "after"))
    old = {"client secret": sim.client_secret, "ops token": "the-first-token-of-ops",
           "posts token": "the-first-token-of-posts", "hook secret": "the-first-secret-of-hooks",
           "password": before.partition(":")[2].rstrip("@")}
    config = configure(workspace, sim, ops={"token": old["ops token"]},
                       broker={"url": rabbit.url.replace("guest:guest@", before)},
                       mongo={"url": mongo.url.replace("mongodb://", f"mongodb://{before}")})
    config["sources"]["fno"]["auth"]["client_secret"] = f"${{file:{secret}}}"
    listen = f"127.0.0.1:{free_port()}"
    config["sources"] |= {
        "posts": {"type": "ingest", "listen": listen, "token": old["posts token"]},
        "crm": {"type": "dataverse", "url": sim.url, "auth": {**sim.auth(), "client_secret": "none"}},
        "hook": {"type": "webhook", "listen": listen, "doorbell": "crm",
                 "secret": {"header": "x-sluice-key", "value": old["hook secret"]}}}
    config["feeds"]["meters"] = {"source": "posts", "key": ["id"], "collection": "meters"}
    sluice = workspace.sluice(config, start=False)
    sluice.start()
    sluice.wait_for(lambda: workspace.db["vendors"].count_documents({}) == 50, 30, "the rows")
    for what, text in old.items():
        assert copies(sluice.pid, text), f"{what}: in use, so the search must find it"

    secret.write_text("another-secret-that-nobody-takes")
    sluice.config["ops"]["token"] = "the-second-token-of-ops"
    sluice.config["sources"]["posts"]["token"] = "the-second-token-of-posts"
    sluice.config["sources"]["hook"]["secret"]["value"] = "the-second-secret-of-hooks"
    for peer in ("broker", "mongo"):
        sluice.config[peer]["url"] = sluice.config[peer]["url"].replace(before, after)
    sluice.write_config()
    sluice.reload()
    wait_until(lambda: copies(sluice.pid, "the-second-token-of-ops"), 20, "the reload")
    wait_until(lambda: any("AADSTS" in str(line) for line in sluice.log_lines()), 20, "a refusal")
    assert copies(sluice.pid, "Bearer eyJ") == []  # the access token that the old secret had brought
    left = {what: copies(sluice.pid, text) for what, text in old.items()}
    if libmongoc_keeps_passwords():
        left["password"] = [found for found in left["password"] if "libmongoc" not in found[1]]
    assert left == dict.fromkeys(old, []), '\n'.join(map(str, left['password']))


def test_status_shows_the_token_of_its_configuration(workspace, sim):
    make_project(sim)
    sluice = workspace.sluice(configure(workspace, sim, ops={"token": "open-sesame"}), start=False)
    sluice.start()
    sluice.wait_for(lambda: any(line["msg"] == "running" for line in sluice.log_lines()), 20, "running")

    def status():
        done = subprocess.run([build_dir() / "src/sluice", "status", "-c", sluice.config_path], text=True,
                              env={**os.environ, **SANITIZER_ENV}, capture_output=True, timeout=60)
        return done.stdout + done.stderr

    sluice.wait_for(lambda: "memory (KiB)" in status(), 20, "the status")
    assert sluice.ops("/status")[0] == sluice.ops("/metrics")[0] == 401
    assert sluice.ops("/healthz")[0] == 200
    sluice.config["ops"]["token"] = "another"
    sluice.write_config()
    assert "has another ops.token than this configuration" in status()


# --- the unit of systemd ---

def analyze(*args):
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "SYSTEMD_PAGER": "", "NO_COLOR": "1"})
    return done.returncode, done.stdout + done.stderr


def test_the_unit_is_exposed_as_little_as_promised():
    """--threshold is ten times the exposure level."""
    status, said = analyze("security", "--offline=true", "--threshold=15", UNIT)
    level = float(re.search(r"exposure level for sluice.service: ([\d.]+)", said).group(1))
    assert status == 0 and level <= 1.5, said
    print(f"exposure level {level}")


def test_the_unit_is_understood(den):
    """Every line means something to systemd, once the program is where the unit says."""
    unit = den / "sluice.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/sluice run", f"{den}/sluice run"))
    shutil.copy(build_dir() / "src/sluice", den / "sluice")
    status, said = analyze("verify", "--man=no", unit)
    assert (status, said) == (0, "")


def test_the_unit_is_started_again_however_often_it_failed():
    """By default systemd gives up after five starts within ten seconds, those by hand included."""
    text = UNIT.read_text()
    head, service = text.split("[Service]")
    assert "\nStartLimitIntervalSec=0\n" in head and "\nRestart=always\n" in service


def calls_of(*names):
    """The system calls of systemd's sets and of names, sets within sets included."""
    calls = set()
    for name in names:
        if name.startswith("@"):
            said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name],
                                  capture_output=True, text=True, timeout=60, check=True).stdout
            said = re.sub(r"\x1b\[\d*m", "", said)  # some versions colour it come what may
            words = [line.strip() for line in said.splitlines() if line.startswith("    ")]
            calls |= calls_of(*(word for word in words if not word.startswith("#")))
        else:
            calls.add(name)
    return calls


def test_the_unit_allows_what_the_sandbox_allows():
    """Else sluice would fail under systemd alone, where no test sees it."""
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):  # they count in their order
        calls = calls_of(*line.removeprefix("~").split())
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    source = (ROOT / "src/base/sandbox.c").read_text()
    for_sanitizers = set(re.findall(r"SCMP_SYS\((\w+)\)", re.search(
        r"#ifdef SL_ASAN.*?#endif", source, re.S).group()))
    needed = set(re.findall(r"SCMP_SYS\((\w+)\)", source)) - for_sanitizers
    assert len(needed) > 80
    before = {"seccomp", "prctl", "prlimit64", "execve"}  # it enters its sandbox
    assert needed | before <= allowed, (needed | before) - allowed


def test_a_service_manager_hears_how_it_goes_and_hands_over_secrets(workspace, sim):
    """As systemd does for Type=notify and LoadCredential=."""
    add_records(sim, 50)
    make_project(sim)
    credentials = workspace.dir / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "secret_fno").write_text(sim.client_secret + "\n")
    config = configure(workspace, sim)
    config["sources"]["fno"]["auth"]["client_secret"] = "${credential:secret_fno}"
    path = str(workspace.dir / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)
        sluice = workspace.sluice(config, start=False)
        sluice.env |= {"NOTIFY_SOCKET": path, "CREDENTIALS_DIRECTORY": str(credentials)}
        sluice.start()
        assert manager.recv(200) == b"READY=1"
        wait_run(sluice, workspace)
        sluice.reload()
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(200))
        assert manager.recv(200) == b"READY=1"
        assert sluice.stop() == 0
        assert manager.recv(200) == b"STOPPING=1"


def test_the_sandbox_can_be_left_out_and_that_is_told(workspace, sim):
    sluice = workspace.sluice(configure(workspace, sim), start=False)
    sluice.env["SLUICE_SANDBOX"] = "off"
    sluice.start()
    sluice.wait_for(lambda: any(line.get("sandbox") == "off" for line in sluice.log_lines()), 20,
                    "the word")
    assert status_of(sluice.pid)["Seccomp"] == "0"
    done = subprocess.run([build_dir() / "src/sluice", "doctor", "-c", sluice.config_path], text=True,
                          env={**os.environ, **SANITIZER_ENV, "SLUICE_SANDBOX": "off"},
                          capture_output=True, timeout=60)
    assert "warn  sandbox: switched off by SLUICE_SANDBOX" in done.stdout
