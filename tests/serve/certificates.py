"""Certificates as an in-house authority gives them: for the server on this machine, and for a client."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """PEM files: each certificate and its key, and the authority that signed them."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    def pair(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def settings(self) -> tuple[str, ...]:
        certificate, key = self.pair("server")
        return "--tls-certificate", str(certificate), "--tls-key", str(key)


def write_certificates(folder: Path) -> Certificates:
    """An authority, certificates of it for `server` and `client`, and one for `stranger` by itself."""
    folder.mkdir(exist_ok=True)
    made = Certificates(folder)
    key = _key(folder, "authority")
    authority = _certificate("authority", key, None, key)
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name in ("server", "client"):
        own = _key(folder, name)
        signed = _certificate(name, own, authority, key)
        made.pair(name)[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    own = _key(folder, "stranger")
    alone = _certificate("stranger", own, None, own)
    made.pair("stranger")[0].write_bytes(alone.public_bytes(serialization.Encoding.PEM))
    return made


def _key(folder: Path, name: str) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(text)
    return key


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate | None,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    places = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
