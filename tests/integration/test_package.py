"""The Debian package that ./dev package makes, here of the build that is tested."""

import os
import pathlib
import subprocess

import pytest

from programs import SANITIZER_ENV
from servers import build_dir


def run(*command):
    done = subprocess.run(list(map(str, command)), text=True, capture_output=True, timeout=120,
                          env={**os.environ, **SANITIZER_ENV})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    made = tmp_path_factory.mktemp("made")
    run("cpack", "--config", build_dir() / "CPackConfig.cmake", "-B", made)
    package, = made.glob("*.deb")
    return package


def test_the_package_names_its_libraries_and_runs_where_it_is_unpacked(package, tmp_path):
    needs = run("dpkg-deb", "-f", package, "Depends")
    for library in ("librabbitmq4", "libcurl4", "libuv1", "ca-certificates"):
        assert library in needs
    assert "libmongoc-1.0-0" in needs or "libmongoc2-2" in needs
    run("dpkg-deb", "-x", package, tmp_path / "root")
    assert run(tmp_path / "root/usr/local/bin/sluice", "version").startswith("sluice ")
    unit = (tmp_path / "root/usr/local/lib/systemd/system/sluice.service").read_text()
    assert "ExecStart=/usr/local/bin/sluice run" in unit


@pytest.fixture
def asks(package, tmp_path):
    """(status, what it calls) of one of the package's scripts."""
    run("dpkg-deb", "-e", package, tmp_path / "control")
    asked, programs = tmp_path / "asked", tmp_path / "bin"
    programs.mkdir()
    for name in ("systemctl", "install"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{asked}\nexit 1\n')
        (programs / name).chmod(0o755)

    def asks(script, *arguments):
        asked.write_text("")
        done = subprocess.run([tmp_path / "control" / script, *arguments], timeout=20,
                              env={"PATH": f"{programs}:/usr/bin:/bin"})
        return done.returncode, asked.read_text()

    return asks


def test_the_service_ends_when_the_package_goes_and_stays_when_another_comes(asks):
    """Where systemd runs; in an image, say, nothing is asked."""
    systemd = pathlib.Path("/run/systemd/system").is_dir()
    assert asks("prerm", "upgrade", "0.2.0") == (0, "")
    assert asks("prerm", "remove") == (0, "systemctl disable --now sluice.service\n" if systemd else "")
    assert asks("postinst", "configure", "0.1.0") == (0, "systemctl daemon-reload\n" if systemd else "")


def test_what_is_the_systems_stays_when_the_package_goes(asks):
    """dpkg takes away folders that are empty then, and those of /usr/local belong to no package."""
    assert asks("postrm", "remove")[1] == "install -d /usr/local/bin /usr/local/lib\n"
    assert asks("postrm", "purge") == asks("postrm", "upgrade", "0.2.0") == (0, "")
