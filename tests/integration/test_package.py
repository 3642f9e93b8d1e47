"""The Debian package that ./dev package makes, here of the build that is tested."""

import os
import subprocess

from programs import SANITIZER_ENV
from servers import build_dir


def run(*command):
    done = subprocess.run(list(map(str, command)), text=True, capture_output=True, timeout=120,
                          env={**os.environ, **SANITIZER_ENV})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_package_names_its_libraries_and_runs_where_it_is_unpacked(tmp_path):
    run("cpack", "--config", build_dir() / "CPackConfig.cmake", "-B", tmp_path / "made")
    package, = (tmp_path / "made").glob("*.deb")
    needs = run("dpkg-deb", "-f", package, "Depends")
    for library in ("librabbitmq4", "libcurl4", "libuv1", "ca-certificates"):
        assert library in needs
    assert "libmongoc-1.0-0" in needs or "libmongoc2-2" in needs
    run("dpkg-deb", "-x", package, tmp_path / "root")
    assert run(tmp_path / "root/usr/local/bin/sluice", "version").startswith("sluice ")
    unit = (tmp_path / "root/usr/local/lib/systemd/system/sluice.service").read_text()
    assert "ExecStart=/usr/local/bin/sluice run" in unit
