"""How issuers' keys get here: fetched in the background, kept when an issuer is away.

A request never waits for the regular refresh. It waits, for at most `WAIT_S`, only when its token
names a key that nobody has seen (an issuer that rotates), or when there are no keys at all; and
whoever makes up key names causes one fetch in `EARLY_S` and no more.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic
from weakref import WeakValueDictionary

import aiohttp

from extproc.identity.keyset import KeySet, KeySetError, read_key_set
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

DEADLINE_S = 5.0
"""Of one fetch, from connecting to the last byte."""
MAX_BYTES = 256 * 1024
"""Of one key set. Entra ID's, with certificate chains, has 20 kB."""
EARLY_S = 5.0
"""Between two fetches that requests ask for, whatever they ask. Issuers publish a key before they
sign with it, so hardly anybody waits that long."""
RETRY_S = 5.0
"""After a failed fetch: sooner than most `refresh_s`, and no burden on a server in trouble."""
WAIT_S = 1.0
"""How long a request waits for a fetch: well below Envoy's patience with us (dataplane)."""
TICK_S = 0.25
"""How exactly refresh times are kept."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the keys of an issuer are: at a URL, or in a file when there is none."""

    issuer: str
    """Its name in the policy, for logs and metrics."""
    url: str
    file: Path
    refresh_s: float

    @property
    def place(self) -> tuple[str, Path]:
        return self.url, self.file


class KeyRing:
    """Implements `tokens.Ring` for one source. `KeyRings.run` does the work."""

    def __init__(self, source: Source, wake: asyncio.Event, keys: KeySet | None = None) -> None:
        """`keys`: what is known of the place already."""
        self.source = source
        self._wake = wake
        self._keys = keys
        self._is_stale = False
        self._is_fetching = False
        self._begun_s = -inf
        self._due_s = -inf
        self._done = asyncio.Event()

    @property
    def keys(self) -> KeySet | None:
        return self._keys

    @property
    def is_stale(self) -> bool:
        return self._is_stale

    async def refresh(self) -> None:
        if self._done.is_set():
            if monotonic() < self._begun_s + EARLY_S:
                return
            self._done.clear()
            self._due_s = -inf
            self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await self._done.wait()

    def begin(self) -> bool:
        """Begin a fetch if one is due; the caller then owes a `finish`."""
        now_s = monotonic()
        if self._is_fetching or now_s < self._due_s:
            return False
        self._is_fetching, self._begun_s = True, now_s
        self._done.clear()
        return True

    def finish(self, found: KeySet | None) -> bool:
        """Take what was fetched; None keeps what is known. Tell whether the keys changed."""
        changed = found is not None and found != self._keys
        if changed:  # an equal set keeps its old object, and with it what was verified
            self._keys = found
        wait_s = min(RETRY_S, self.source.refresh_s) if found is None else self.source.refresh_s
        self._due_s = monotonic() + wait_s
        self._is_stale, self._is_fetching = found is None, False
        self._done.set()
        return changed


class KeyRings:
    """The keys of all issuers, over all policy versions: a reload fetches nothing that is here.

    A ring lives as long as a policy version uses it. One per worker; `run` runs beside the server.
    """

    def __init__(self, tell: Callable[[str, str], None] = lambda _issuer, _result: None) -> None:
        """`tell` is called after each fetch: the issuer, and `ok` or `failed`."""
        self._tell = tell
        self._rings: WeakValueDictionary[Source, KeyRing] = WeakValueDictionary()
        self._wake = asyncio.Event()

    def ring(self, source: Source) -> KeyRing:
        """Return the ring of that source; a new one is filled at once, as soon as `run` runs."""
        ring = self._rings.get(source)
        if ring is None:
            ring = self._rings[source] = KeyRing(source, self._wake, self._known(source))
            self._wake.set()
        return ring

    def _known(self, source: Source) -> KeySet | None:
        """Find the keys of the same place under another name, or refreshed in another rhythm."""
        same = (each for each in self._rings.values() if each.source.place == source.place)
        return next((each.keys for each in same if each.keys), None)

    async def run(self) -> None:
        """Fetch what is due, for ever; cancel to stop."""
        async with open_session() as session, asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for ring in list(self._rings.values()):
                    if ring.begin():
                        tasks.create_task(self._renew(session, ring))
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._wake.wait()

    async def _renew(self, session: aiohttp.ClientSession, ring: KeyRing) -> None:
        """Fetch once. Whatever goes wrong leaves the keys as they are."""
        found, was_stale = None, ring.is_stale
        issuer = ring.source.issuer
        try:
            found = read_key_set(await fetch(session, ring.source))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            if not was_stale:
                reason = str(exc) or type(exc).__name__
                log.warning(Event.JWKS_STALE, issuer=issuer, reason=reason)
        finally:
            changed = ring.finish(found)
        if found and (changed or was_stale):
            kids = [key.kid for key in found.keys]
            log.info(Event.JWKS_LOADED, issuer=issuer, kids=kids)
        self._tell(issuer, "ok" if found else "failed")


def open_session() -> aiohttp.ClientSession:
    """Make a client that does as little as possible: no cookies, no unpacking, no proxies."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=DEADLINE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"accept": "application/json", "accept-encoding": "identity"},
    )


async def fetch(session: aiohttp.ClientSession, source: Source) -> bytes:
    """Read a key set, at most `MAX_BYTES`, and follow no redirect: the policy names the one place.

    Raises:
        OSError, TimeoutError, aiohttp.ClientError: It cannot be had.
        KeySetError: It is something else than a key set of sensible size.
    """
    if not source.url:
        with source.file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    else:
        async with session.get(source.url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise KeySetError(f"the answer was {answer.status}")
            raw = b""
            async for chunk in answer.content.iter_chunked(64 * 1024):
                raw += chunk
                if len(raw) > MAX_BYTES:
                    break
    if len(raw) > MAX_BYTES:
        raise KeySetError(f"it is larger than {MAX_BYTES} bytes")
    return raw
