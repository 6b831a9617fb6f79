"""Certificates: made, read, renewed; `ssl` of the standard library is the peer."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from extproc.rpc.call import Method
from extproc.rpc.listener import Listener
from extproc.rpc.tls import LIFETIME, SKEW, Certificate, TlsError, self_signed

GUARD_S = 20


def pem(name, *, password=None):
    """A certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    cert = made.not_valid_before(now - SKEW).not_valid_after(now + LIFETIME).sign(key, SHA256())
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return (
        cert.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock),
    )


def write(folder, cert, key):
    """As Kubernetes does: other files under the same names."""
    for name, content in (("c", cert), ("k", key)):
        (folder / f"{name}.new").write_bytes(content)
        (folder / f"{name}.new").replace(folder / name)
    return folder / "c", folder / "k"


@contextlib.asynccontextmanager
async def listening(context):
    async def echo(call):
        async for message in call:
            await call.write(message)

    listener = Listener({"/a/B": Method(echo, bytes, bytes)}, 1 << 20, context)
    port = await listener.start("127.0.0.1:0")
    try:
        yield port
    finally:
        await listener.drain(0.0)


async def shown(port, *, alpn=("h2",)):
    """The name on the certificate, and the protocol agreed on."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    there = writer.get_extra_info("ssl_object")
    cert = x509.load_der_x509_certificate(there.getpeercert(binary_form=True))
    (name,) = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    assert len(await reader.readexactly(9)) == 9  # its settings: HTTP/2 is spoken
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()
    return name.value, there.selected_alpn_protocol()


async def until_shown(port, name):
    for _ in range(1000):
        if (await shown(port))[0] == name:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(name)


async def test_one_that_is_made_serves_http2():
    async with asyncio.timeout(GUARD_S), listening(self_signed("here.example")) as port:
        assert await shown(port) == ("here.example", "h2")
        assert (await shown(port, alpn=()))[1] is None


async def test_renewed_files_are_shown_to_those_who_come_later(tmp_path):
    certificate = Certificate(*write(tmp_path, *pem("first")))
    async with asyncio.timeout(GUARD_S), listening(certificate.context) as port:
        assert (await shown(port))[0] == "first"
        assert not certificate.renew()
        write(tmp_path, *pem("second"))
        watching = asyncio.ensure_future(certificate.watch(0.01))
        await until_shown(port, "second")
        write(tmp_path, pem("third")[0], pem("other")[1])  # between two writes
        await asyncio.sleep(0.05)
        assert (await shown(port))[0] == "second"
        write(tmp_path, *pem("fourth"))
        await until_shown(port, "fourth")
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: (b"", b""), "cannot be used"),
        (lambda: (b"nonsense", b"nonsense"), "cannot be used"),
        (lambda: (pem("a")[0], pem("b")[1]), "cannot be used"),
        (lambda: pem("a", password=b"secret"), "cannot be used"),
    ],
    ids=["empty", "nonsense", "of two", "locked"],
)
def test_what_cannot_be_used_is_refused(tmp_path, make, said):
    with pytest.raises(TlsError, match=said):
        Certificate(*write(tmp_path, *make()))


@pytest.mark.parametrize("gone", ["c", "k"])
def test_a_file_that_is_not_there_is_named(tmp_path, gone):
    files = write(tmp_path, *pem("a"))
    certificate = Certificate(*files)
    (tmp_path / gone).unlink()
    with pytest.raises(TlsError, match=f"/{gone}: No such file"):
        Certificate(*files)
    with pytest.raises(TlsError, match=f"/{gone}: No such file"):
        certificate.renew()
