"""Endpoints of a Kubernetes Service: its EndpointSlices are listed, then watched, over the API's HTTP."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from random import random

import aiohttp
import msgspec

from engines.watch.config import Kubernetes
from engines.watch.roster import Found
from engines.watch.slices import GoneError, Known
from telemetry.logs import Event, EventLog

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token and the CA of its service account (Kubernetes: "Accessing the API from a
Pod")."""
IN_CLUSTER = "https://kubernetes.default.svc"
WATCH_S = 300
"""How long a watch is asked to last: then it goes on from where it was, and a dead connection does not stay
unnoticed for ever."""
QUIET_S = WATCH_S + 30.0
CONNECT_S = 5.0
LIST_S = 20.0
PAUSE_S = (0.2, 10.0)
"""First and longest pause after a failure; it doubles in between."""
MOST_BYTES = 32 * 1024 * 1024
"""Of a list, and of one line of a watch: a slice has at most 1000 endpoints, some 500 kB."""

log = EventLog(__name__)


class ApiError(Exception):
    """The API did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Api:
    """Where the API server is, and how it knows us."""

    source: Kubernetes

    @property
    def url(self) -> str:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.source.namespace}/endpointslices"
        return f"{self.source.api or IN_CLUSTER}{path}"

    @property
    def selector(self) -> dict[str, str]:
        return {"labelSelector": f"kubernetes.io/service-name={self.source.service}"}

    def headers(self) -> dict[str, str]:
        """Read the token, each time: it is renewed every hour. Raises: OSError."""
        named = self.source.token_file
        path = Path(named) if named else ACCOUNT / "token"
        if not named and self.source.api and not path.exists():
            return {}  # an API that was named without a token, such as `kubectl proxy`
        return {"Authorization": f"Bearer {path.read_text(encoding='ascii').strip()}"}

    def tls(self) -> ssl.SSLContext | bool:
        """Trust the cluster's CA, and nobody else. Raises: OSError, ssl.SSLError."""
        named = self.source.ca_file
        if named or not self.source.api:
            return ssl.create_default_context(cafile=named or os.fspath(ACCOUNT / "ca.crt"))
        return True


async def follow_kubernetes(source: Kubernetes, hear: Callable[[Found], None]) -> None:
    """Tell who the endpoints are, for ever. While the API cannot be reached, what it said last holds."""
    api, known, pause_s, failed = Api(source), Known(source.port), PAUSE_S[0], ""
    while True:
        try:
            async with aiohttp.ClientSession() as session:
                if not known.version:
                    known.list(await fetch(session, api))
                    hear(known.found())
                async for line in lines(session, api, known.version):
                    if failed:
                        log.warning(Event.DISCOVERY_BACK, source=source.service)
                    failed, pause_s = "", PAUSE_S[0]
                    if line and known.change(line):
                        hear(known.found())
        except GoneError:
            known.version = ""
        except (
            ApiError,
            msgspec.MsgspecError,
            aiohttp.ClientError,
            OSError,
            UnicodeError,
        ) as fault:
            if not failed:
                failed = str(fault) or type(fault).__name__
                log.error(Event.DISCOVERY_FAILED, source=source.service, reason=failed)
            if isinstance(fault, ApiError | msgspec.MsgspecError):
                known.version = ""  # what it says to a list is right in any case
            pause_s = min(pause_s * 2, PAUSE_S[1])
        await asyncio.sleep(pause_s * (0.5 + random() / 2))  # noqa: S311 - no secret


async def fetch(session: aiohttp.ClientSession, api: Api) -> bytes:
    """List. Raises: ApiError, aiohttp.ClientError, OSError, TimeoutError."""
    timeout = aiohttp.ClientTimeout(total=LIST_S, connect=CONNECT_S)
    async with session.get(
        api.url,
        params=api.selector,
        headers=api.headers(),
        ssl=api.tls(),
        timeout=timeout,
        allow_redirects=False,
    ) as answer:
        if answer.status != 200:
            raise ApiError(f"the API answers {answer.status}")
        raw = await answer.content.read(MOST_BYTES)
        while more := await answer.content.read(MOST_BYTES):
            raw += more
            if len(raw) > MOST_BYTES:
                raise ApiError("the list is too long")
        return raw


async def lines(session: aiohttp.ClientSession, api: Api, version: str) -> AsyncIterator[bytes]:
    """Watch from there on; ends when the API ends it. The first line is empty: it lets us watch. Raises:
    GoneError, and as `fetch`."""
    asked = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=QUIET_S)
    async with session.get(
        api.url,
        params={**api.selector, **asked, "timeoutSeconds": str(WATCH_S)},
        headers=api.headers(),
        ssl=api.tls(),
        timeout=timeout,
        allow_redirects=False,
    ) as answer:
        if answer.status == 410:
            raise GoneError("410")
        if answer.status != 200:
            raise ApiError(f"the API answers {answer.status}")
        yield b""
        rest = b""
        async for piece in answer.content.iter_any():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
            if len(rest) > MOST_BYTES:
                raise ApiError("a line is too long")
