"""Certificates for a federation: a root of its own, and certificates signed by it for the server and each shop."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_NAME: Final = "root"
SERVER_NAME: Final = "server"


class CertificateAuthority:
    """Signs certificates with a key that is forgotten with the object.

    Parameters
    ----------
    now
        The certificates are valid from an hour before it.
    days
        How long they are valid.
    """

    def __init__(self, now: dt.datetime, days: int) -> None:
        self._start = now - dt.timedelta(hours=1)
        self._end = now + dt.timedelta(days=days)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Headrace federation")
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        self._certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def root(self) -> bytes:
        """The root certificate, PEM."""
        root: bytes = self._certificate.public_bytes(serialization.Encoding.PEM)
        return root

    def issue(self, name: str, hosts: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """A certificate and its private key, PEM.

        Parameters
        ----------
        name
            The common name: the server knows a shop by it.
        hosts
            Names and addresses of a server; none for a shop.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            self._builder(_name(name), key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(each) for each in hosts]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._start)
            .not_valid_after(self._end)
        )


def write_certificates(
    folder: Path, hosts: Sequence[str], shops: Sequence[str], days: int = 365
) -> list[Path]:
    """Write ``root.pem``, and ``NAME.pem`` and ``NAME.key`` for the server and each shop; return the paths.

    The key of the root is not written: for another shop, all certificates are made anew.

    Raises
    ------
    OSError
        If one exists already, or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = CertificateAuthority(dt.datetime.now(dt.UTC), days)
    files = {f"{ROOT_NAME}.pem": authority.root}
    for name, names in {SERVER_NAME: hosts, **dict.fromkeys(shops, ())}.items():
        files[f"{name}.pem"], files[f"{name}.key"] = authority.issue(name, names)
    for name, data in files.items():
        path = folder / name
        path.touch(mode=0o600 if path.suffix == ".key" else 0o644, exist_ok=False)
        path.write_bytes(data)
    return [folder / name for name in files]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
