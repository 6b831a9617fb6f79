"""An OpenID Connect issuer for tests. It plays Keycloak: discovery, keys, rotation, and bad days.

Tokens are signed by PyJWT; what no library would sign is put together by `forge`.
"""

import asyncio
import base64
import contextlib
import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from jwt.algorithms import get_default_algorithms

REALM = "/realms/acme"
CERTS = f"{REALM}/protocol/openid-connect/certs"
SLOW_S = 30
LOOPBACK = ip_address("127.0.0.1")
CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


def make_private(algorithm):
    if algorithm.startswith("RS"):
        return rsa.generate_private_key(65537, 2048)
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm]())
    return ed25519.Ed25519PrivateKey.generate()


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header, payload, signature=b""):
    """A token of any header and payload: values that become JSON, or text as it is."""
    parts = (each if isinstance(each, str) else json.dumps(each) for each in (header, payload))
    return ".".join([*(b64(part.encode()) for part in parts), b64(signature)])


def make_certificate(directory):
    """A certificate for 127.0.0.1, which is its own authority; return its file and its key's."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer of tests")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    public_file, private_file = directory / "issuer.crt", directory / "issuer.key"
    public_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    private_file.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return public_file, private_file


class SigningKey:
    """A private key, and how it is published."""

    def __init__(self, kid, algorithm="RS256", private=None):
        self.kid, self.algorithm = kid, algorithm
        self.private = private or make_private(algorithm)

    def jwk(self, **changed):
        rules = get_default_algorithms()[self.algorithm]
        published = rules.to_jwk(self.private.public_key(), as_dict=True)
        about = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        return {**published, "key_ops": ["verify"], **about, **changed}

    def sign(self, claims, **header):
        """Sign claims, given as a mapping or as the very text."""
        payload = claims if isinstance(claims, str) else json.dumps(claims)
        named = {"kid": self.kid, **header}
        about = {name: value for name, value in named.items() if value is not None}
        return jwt.PyJWS().encode(payload.encode(), self.private, self.algorithm, headers=about)

    def pem(self):
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )


class Issuer:
    """One realm. `fault` is None, or what its key endpoint does instead of answering:
    `slow`, `garbage`, `down`, `empty`, `huge`, `redirect`, `error`."""

    def __init__(self, audience="headgate", certificate=None):
        """`certificate`: files of one and of its key, to serve over TLS."""
        self.audience = audience
        self._tls = None
        if certificate:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(*certificate)
        self.keys = [SigningKey("key-1")]
        self.fault = None
        self.fetches = 0
        self.asked = asyncio.Event()
        self.url = ""

    @property
    def issuer(self):
        return f"{self.url}{REALM}"

    @property
    def jwks_url(self):
        return f"{self.url}{CERTS}"

    def jwks(self):
        """As Keycloak does, with a key for encryption that is not for us."""
        mine = [key.jwk() for key in self.keys]
        return {"keys": [*mine, self.keys[0].jwk(kid="enc", use="enc", alg="RSA-OAEP")]}

    def rotate(self, *, keep_old=True):
        """Sign with a new key; the old one stays published, or not."""
        new = SigningKey(f"key-{int(self.keys[0].kid[4:]) + 1}")
        self.keys = [new, *(self.keys if keep_old else ())]

    def claims(self, **changed):
        """Those of a good token; a None takes one out."""
        now_s = int(time.time())
        whole = {
            "iss": self.issuer, "aud": [self.audience, "account"], "sub": "alice", "typ": "Bearer",
            "iat": now_s, "exp": now_s + 300, "tenant": "acme", **changed,
        }  # fmt: skip
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, key=None, **changed):
        return (key or self.keys[0]).sign(self.claims(**changed))

    async def discover(self, _request):
        return web.json_response({"issuer": self.issuer, "jwks_uri": self.jwks_url})

    async def certs(self, request):
        self.fetches += 1
        self.asked.set()
        match self.fault:
            case "slow":
                await asyncio.sleep(SLOW_S)
            case "garbage":
                return web.Response(text="<html>Bad gateway</html>")
            case "empty":
                return web.json_response({"keys": []})
            case "huge":
                return web.json_response({**self.jwks(), "pad": "x" * 300_000})
            case "redirect":
                raise web.HTTPFound(self.jwks_url + "?again")
            case "error":
                return web.json_response(self.jwks(), status=500)
            case "down":
                request.transport.abort()
            case _:
                pass
        return web.json_response(self.jwks())

    @contextlib.asynccontextmanager
    async def serving(self):
        """Serve on a free port of the loopback interface."""
        app = web.Application()
        app.router.add_get(f"{REALM}/.well-known/openid-configuration", self.discover)
        app.router.add_get(CERTS, self.certs)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, str(LOOPBACK), 0, ssl_context=self._tls)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
            yield self
        finally:
            await runner.cleanup()

    @contextlib.contextmanager
    def running(self):
        """Serve from a thread, for tests that are not asynchronous themselves."""
        ready = threading.Event()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve():
            async with self.serving():
                ready.set()
                await stop.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        try:
            assert ready.wait(10)
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


def ed448_key(kid):
    return SigningKey(kid, "EdDSA", ed448.Ed448PrivateKey.generate())
