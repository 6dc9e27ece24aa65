"""Certificates for tests of TLS: a CA, what it signed for server and client, and some that have to be refused."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.testing.places import ServerMissing

_CONFIG: Final = """
[req]
distinguished_name = name
prompt = no
[name]
CN = set by -subj
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
[ca]
default_ca = signer
[signer]
database = {folder}/index.txt
new_certs_dir = {folder}
default_md = sha256
policy = anything
rand_serial = yes
unique_subject = no
[anything]
commonName = supplied
"""


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files.

    Attributes:
        ca: the authority that signed the server's and the client's certificate.
        server_cert, server_key: for the names that `make_certificates` was given.
        client_cert, client_key: a client that the server lets in.
        foreign_ca: another authority, which did not sign the server's certificate.
        foreign_cert, foreign_key: a client certificate of that other authority.
        expired_cert, expired_key: a client certificate of the right authority that ran out years ago.
    """

    ca: str
    server_cert: str
    server_key: str
    client_cert: str
    client_key: str
    foreign_ca: str
    foreign_cert: str
    foreign_key: str
    expired_cert: str
    expired_key: str


def make_certificates(folder: Path, names: Sequence[str] = ("localhost", "127.0.0.1", "::1")) -> Certificates:
    """Makes them all in a folder, valid for 30 days from now; takes about 0.2 s.

    Args:
        names: hosts and addresses that the server's certificate is good for.

    Raises:
        ServerMissing: the program ``openssl`` is not installed, or failed.
    """
    maker = _Maker(folder, names)
    ca, foreign = maker.authority("ca"), maker.authority("foreign-ca")
    server, client = maker.leaf("server", ca), maker.leaf("client", ca)
    stranger, expired = maker.leaf("foreign", foreign), maker.leaf("expired", ca, expired=True)
    return Certificates(
        ca[0], *server, *client, foreign_ca=foreign[0], foreign_cert=stranger[0], foreign_key=stranger[1],
        expired_cert=expired[0], expired_key=expired[1],
    )  # fmt: skip


class _Maker:
    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        program = shutil.which("openssl")
        if program is None:
            raise ServerMissing("openssl is not installed: install it to make certificates for tests")
        self._program = program
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        listed = ", ".join(f"IP:{name}" if _is_address(name) else f"DNS:{name}" for name in names)
        self._config = folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(names=listed, folder=folder.absolute()))
        (folder / "index.txt").touch()

    def authority(self, name: str) -> tuple[str, str]:
        cert, key = self._paths(name)
        self._key(key)
        self._run("req", "-x509", "-new", "-key", key, "-out", cert, *self._subject(name), "-extensions", "authority")
        return cert, key

    def leaf(self, name: str, signer: tuple[str, str], *, expired: bool = False) -> tuple[str, str]:
        cert, key = self._paths(name)
        request = str(self._folder / f"{name}.csr")
        self._key(key)
        self._run("req", "-new", "-key", key, "-out", request, *self._subject(name))
        dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z") if expired else ("-days", "30")
        self._run(
            "ca", "-batch", "-notext", "-config", str(self._config), "-cert", signer[0], "-keyfile", signer[1],
            "-in", request, "-out", cert, "-extensions", "leaf", *dates,
        )  # fmt: skip
        return cert, key

    def _paths(self, name: str) -> tuple[str, str]:
        return str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key")

    def _subject(self, name: str) -> tuple[str, ...]:
        return ("-config", str(self._config), "-subj", f"/CN=holdfast test {name}")

    def _key(self, path: str) -> None:
        self._run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)

    def _run(self, *args: str) -> None:
        done = subprocess.run([self._program, *args], capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise ServerMissing(f"openssl {args[0]} failed: {done.stderr[-500:]}")


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdecimal()
