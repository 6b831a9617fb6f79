"""TLS for the port where calls come in: files that are read again when they change, or a
certificate made at the start, for peers that want encryption and check no name."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from telemetry.logs import Event, EventLog

log = EventLog(__name__)

LOOK_S = 10.0
"""How often the files are looked at. Whoever renews certificates does so days before they end."""

SKEW = timedelta(hours=1)
LIFETIME = timedelta(days=3650)
"""Of a certificate made here, which ends with its process; peers that accept it do not verify it."""

Stamp = tuple[int, int, int]


class TlsError(RuntimeError):
    """The certificate or its key cannot be used. The message names the file."""


class Certificate:
    """What peers are shown. `context` is in use by a listener; `renew` changes it in place, so that
    connections which begin later see the new certificate."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises: TlsError."""
        self._files = (cert, key)
        self.context = empty_context()
        self._stamps = self._look()
        load(self.context, *self._read())

    def renew(self) -> bool:
        """Read the files again if they have changed. Raises: TlsError, and what was in force stays.

        The two files may be caught between two writes; then they do not belong together, and the
        next look finds them changed still.
        """
        stamps = self._look()
        if stamps == self._stamps:
            return False
        load(self.context, *self._read())
        self._stamps = stamps
        return True

    async def watch(self, every_s: float = LOOK_S) -> None:
        """Renew for ever; cancel to stop."""
        while True:
            await asyncio.sleep(every_s)
            try:
                if self.renew():
                    log.info(Event.CERTIFICATE_LOADED)
            except TlsError as exc:
                log.error(Event.CERTIFICATE_REJECTED, error=str(exc))

    def _look(self) -> list[Stamp]:
        """Raises: TlsError."""
        try:
            stats = [file.stat() for file in self._files]
        except OSError as exc:
            raise TlsError(f"{exc.filename}: {exc.strerror}") from exc
        return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in stats]

    def _read(self) -> tuple[bytes, bytes]:
        """Raises: TlsError."""
        cert, key = self._files
        try:
            return cert.read_bytes(), key.read_bytes()
        except OSError as exc:
            raise TlsError(f"{exc.filename}: {exc.strerror}") from exc


def empty_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])  # gRPC's clients insist on being told
    return context


def load(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """Show this certificate (PEM, its chain behind it) from now on. Raises: TlsError.

    It is tried on another context first: OpenSSL drops a key that does not fit a new certificate,
    and a listener would be left without any. Python loads from files only.
    """
    with TemporaryDirectory(prefix="headgate-") as folder:  # 0700
        files = Path(folder, "cert.pem"), Path(folder, "key.pem")
        for file, pem in zip(files, (cert, key), strict=True):
            file.write_bytes(pem)
        try:
            empty_context().load_cert_chain(*files, password="")  # never asks on a terminal
            context.load_cert_chain(*files, password="")
        except (ssl.SSLError, ValueError) as exc:
            raise TlsError(f"certificate and key cannot be used: {exc}") from exc


def self_signed(name: str) -> ssl.SSLContext:
    """Make a key and a certificate for `name`, valid for as long as anybody will run this process."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    context = empty_context()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    load(context, cert.public_bytes(Encoding.PEM), pem)
    return context
