"""Which endpoints answer: probed from here, because Envoy does not tell, and picks by name blindly.

Envoy's `override_host` tries a named endpoint however sick it is, so a sick one must not be named.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import aiohttp

from telemetry.logs import Event, EventLog

log = EventLog(__name__)

PROBE_INTERVAL_S = 1.0
"""How stale a judgement may be. An engine that dies in between costs a retry, not an error."""
PROBE_TIMEOUT_S = 1.0
FAILURES = 2
"""Probes in a row that must go unanswered. vLLM answers `/health` from the event loop that serves its
API, so a long prompt can delay it; a refused connection needs no second opinion."""
SUSPECT_S = 2.0
"""How long one failed attempt keeps an endpoint from being named: until after the next probe."""


class HealthView:
    """Implements `ports.EngineView`. One per worker; `watch` runs beside the server.

    An endpoint nobody has probed yet counts as healthy: at start, and for one just added, a
    retry is better than a refusal. Doubt never empties a pool: when all that is left is suspect or
    slow, it is named all the same, and only endpoints that refuse connections are not.
    """

    def __init__(self, tell: Callable[[str, int], None] = lambda _pool, _count: None) -> None:
        """`tell` is called after each round of probes: how many endpoints of a pool are healthy."""
        self._tell = tell
        self._unanswered: dict[str, int] = {}
        self._refusing: set[str] = set()
        self._suspect_until: dict[str, float] = {}
        self._pools: Mapping[str, Sequence[str]] = {}
        self._endpoints: dict[str, str] = {}

    def track(self, pools: Mapping[str, Sequence[str]], health_paths: Mapping[str, str]) -> None:
        """Say which endpoints there are, and where those of each pool tell their health."""
        self._pools = pools
        self._endpoints = {e: health_paths[pool] for pool in pools for e in pools[pool]}
        self._refusing.intersection_update(self._endpoints)
        for gone in self._unanswered.keys() - self._endpoints.keys():
            del self._unanswered[gone]
        self._tell_healthy()

    def healthy(self, endpoints: Sequence[str]) -> Sequence[str]:
        if not (self._refusing or self._unanswered or self._suspect_until):
            return endpoints
        now = monotonic()
        well = [each for each in endpoints if not self._is_sick(each)]
        trusted = [each for each in well if self._suspect_until.get(each, 0.0) < now]
        return trusted or well or [each for each in endpoints if each not in self._refusing]

    def suspect(self, endpoint: str) -> None:
        self._suspect_until[endpoint] = monotonic() + SUSPECT_S

    def _is_sick(self, endpoint: str) -> bool:
        return endpoint in self._refusing or self._unanswered.get(endpoint, 0) >= FAILURES

    def _tell_healthy(self) -> None:
        for pool, endpoints in self._pools.items():
            self._tell(pool, sum(not self._is_sick(endpoint) for endpoint in endpoints))

    async def watch(self, interval_s: float = PROBE_INTERVAL_S) -> None:
        """Probe for ever, all endpoints at once and then a pause; cancel to stop."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        # One endpoint that hangs must not make others wait for a connection.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            while True:
                probes = [self._probe(session, e, path) for e, path in self._endpoints.items()]
                await asyncio.gather(*probes)
                self._tell_healthy()
                now = monotonic()
                self._suspect_until = {
                    e: until for e, until in self._suspect_until.items() if until > now
                }
                await asyncio.sleep(interval_s)

    async def _probe(self, session: aiohttp.ClientSession, endpoint: str, path: str) -> None:
        refused = False
        try:
            async with session.get(f"http://{endpoint}{path}", allow_redirects=False) as answer:
                well = answer.status < 500
        except aiohttp.ClientConnectorError:
            well, refused = False, True
        except (aiohttp.ClientError, TimeoutError, OSError):
            well = False
        if endpoint in self._endpoints:  # a reload may have taken it away meanwhile
            self._note(endpoint, well=well, refused=refused)

    def _note(self, endpoint: str, *, well: bool, refused: bool) -> None:
        was_sick = self._is_sick(endpoint)
        if well:
            self._unanswered.pop(endpoint, None)
        else:
            self._unanswered[endpoint] = self._unanswered.get(endpoint, 0) + 1
        (self._refusing.add if refused else self._refusing.discard)(endpoint)
        if was_sick != self._is_sick(endpoint):
            event = Event.ENDPOINT_HEALTHY if was_sick else Event.ENDPOINT_UNHEALTHY
            log.warning(event, endpoint=endpoint)
