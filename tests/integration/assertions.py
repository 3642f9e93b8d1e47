"""Client assertions (JWTs, RFC 7523) by the openssl command: an independent witness of what sluice signs, and
a signer of what the simulator shall refuse."""

import base64
import hashlib
import json
import pathlib
import secrets
import subprocess
import time
from typing import NamedTuple

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PADDING = {"PS256": ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"], "RS256": []}


def _openssl(*args, given=None):
    return subprocess.run(["openssl", *map(str, args)], input=given, capture_output=True, timeout=20)


def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(text):
    assert not set(text) & set("+/="), text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def thumbprint(certificate, name="sha256"):
    """As x5t#S256 (or, by sha1, x5t) names the certificate in that PEM file."""
    der = _openssl("x509", "-in", certificate, "-outform", "DER").stdout
    return encode(hashlib.new(name, der).digest())


class Assertion(NamedTuple):
    header: dict
    claims: dict
    signed: bytes
    signature: bytes


def take_apart(text):
    header, claims, signature = text.split(".")
    return Assertion(json.loads(decode(header)), json.loads(decode(claims)),
                     f"{header}.{claims}".encode(), decode(signature))


def is_signed_by(certificate, text, folder):
    """Whether the key of that certificate has signed it, by the algorithm that its header says."""
    one = take_apart(text)
    public, signature = pathlib.Path(folder) / "public.pem", pathlib.Path(folder) / "signature"
    public.write_bytes(_openssl("x509", "-in", certificate, "-pubkey", "-noout").stdout)
    signature.write_bytes(one.signature)
    done = _openssl("dgst", "-sha256", *_PADDING[one.header["alg"]], "-verify", public, "-signature", signature,
                    given=one.signed)
    return done.returncode == 0 and b"Verified OK" in done.stdout


def claims_for(client_id, audience, **changes):
    now = int(time.time())
    return {"aud": audience, "iss": client_id, "sub": client_id, "jti": secrets.token_hex(16), "nbf": now,
            "iat": now, "exp": now + 300, **changes}


def make(pair, claims, by="PS256", **header):
    """One that pair's key has signed; header is laid over the usual one."""
    print_of = {"x5t#S256": thumbprint(pair.certificate)} if by == "PS256" else \
        {"x5t": thumbprint(pair.certificate, "sha1")}
    whole = {"alg": by, "typ": "JWT", **print_of, **header}
    signed = f"{encode(json.dumps(whole).encode())}.{encode(json.dumps(claims).encode())}"
    done = _openssl("dgst", "-sha256", *_PADDING[by], "-sign", pair.key, given=signed.encode())
    assert done.returncode == 0, done.stderr
    return f"{signed}.{encode(done.stdout)}"
