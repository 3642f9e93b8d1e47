"""Certificate authorities and what they sign, made by openssl within milliseconds."""

import pathlib
import subprocess
from typing import NamedTuple


class Certificate(NamedTuple):
    """Files: the certificate, its key, and both in one as MongoDB wants them."""
    certificate: pathlib.Path
    key: pathlib.Path
    pem: pathlib.Path


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """A CA in a folder of its own; `file` is what those who trust it are given."""

    def __init__(self, directory, name="ca"):
        self.dir = pathlib.Path(directory) / name
        self.dir.mkdir(parents=True)
        self.file, self.key = self.dir / "ca.pem", self.dir / "ca.key"
        self._make(self.file, self.key, f"/O={name}/CN={name}", ["-nodes"],
                   "basicConstraints=critical,CA:TRUE")

    def _make(self, certificate, key, subject, more, *extensions):
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", 2,
                 "-utf8", "-subj", subject, "-keyout", key, "-out", certificate, *more,
                 *(word for one in extensions for word in ("-addext", one)))

    def sign(self, name, subject, alternative=None, password=None):
        """A certificate for subject ("/O=a/CN=b"); alternative like "IP:127.0.0.1", password of its key."""
        files = Certificate(*(self.dir / f"{name}.{kind}" for kind in ("crt", "key", "pem")))
        self._make(files.certificate, files.key, subject,
                   ["-CA", self.file, "-CAkey", self.key,
                    *(["-passout", f"pass:{password}"] if password else ["-nodes"])],
                   "basicConstraints=critical,CA:FALSE",
                   *([f"subjectAltName={alternative}"] if alternative else []))
        files.pem.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
        return files
