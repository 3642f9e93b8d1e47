"""Certificate authorities and what they sign, made by openssl within milliseconds."""

import pathlib
import subprocess
from typing import NamedTuple


class Certificate(NamedTuple):
    """Files: the certificate, its key, and both in one as MongoDB wants them."""
    certificate: pathlib.Path
    key: pathlib.Path
    pem: pathlib.Path


def _openssl(*args, cwd=None):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False,
                          cwd=cwd)
    assert done.returncode == 0, done.stderr


_CA = """[ca]
default_ca = one
[one]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
default_crl_days = 2
policy = any
[any]
organizationName = optional
commonName = supplied
"""


class Authority:
    """A CA in a folder of its own; `file` is what those who trust it are given."""

    def __init__(self, directory, name="ca"):
        self.dir = pathlib.Path(directory) / name
        self.dir.mkdir(parents=True)
        self.file, self.key = self.dir / "ca.pem", self.dir / "ca.key"
        self._make(self.file, self.key, f"/O={name}/CN={name}", ["-nodes"],
                   "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")

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

    def sign_self(self, name, subject, alternative):
        """One that nobody signed but itself."""
        files = Certificate(*(self.dir / f"{name}.{kind}" for kind in ("crt", "key", "pem")))
        self._make(files.certificate, files.key, subject, ["-nodes"], f"subjectAltName={alternative}")
        files.pem.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
        return files

    def _ca(self, *args):
        """openssl ca, whose books are kept in the folder."""
        (self.dir / "ca.cnf").write_text(_CA)
        (self.dir / "index.txt").touch()
        _openssl("ca", "-batch", "-config", "ca.cnf", "-cert", self.file, "-keyfile", self.key, *args,
                 cwd=self.dir)

    def sign_expired(self, name, subject, alternative):
        """Like sign, but its day is long past."""
        files = Certificate(*(self.dir / f"{name}.{kind}" for kind in ("crt", "key", "pem")))
        request, extensions = self.dir / f"{name}.csr", self.dir / f"{name}.ext"
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", subject, "-keyout", files.key, "-out", request)
        extensions.write_text(f"subjectAltName={alternative}\n")
        self._ca("-in", request, "-out", files.certificate, "-notext", "-extfile", extensions,
                 "-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
        files.pem.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
        return files

    def sign_rsa(self, name, begins="20200101000000Z", ends="20990101000000Z", bits=2048):
        """One with an RSA key, for an Entra application, valid from begins to ends (of the form of ASN.1)."""
        files = Certificate(*(self.dir / f"{name}.{kind}" for kind in ("crt", "key", "pem")))
        request = self.dir / f"{name}.csr"
        _openssl("req", "-new", "-newkey", f"rsa:{bits}", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", files.key, "-out", request)
        self._ca("-in", request, "-out", files.certificate, "-notext", "-startdate", begins, "-enddate", ends)
        files.pem.write_bytes(files.key.read_bytes() + files.certificate.read_bytes())
        return files

    def revoking(self, *certificates):
        """A file for those who trust this CA and heed that it has revoked these certificates."""
        for one in certificates:
            self._ca("-revoke", one.certificate)
        self._ca("-gencrl", "-out", "crl.pem")
        bundle = self.dir / "ca-and-crl.pem"
        bundle.write_bytes(self.file.read_bytes() + (self.dir / "crl.pem").read_bytes())
        return bundle
