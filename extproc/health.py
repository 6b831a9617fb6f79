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
SUSPECT_S = 2.0
"""How long one failed attempt keeps an endpoint from being named: until after the next probe."""


class HealthView:
    """Implements `ports.EngineView`. One per worker; `watch` runs beside the server.

    An endpoint nobody has probed yet counts as healthy: at start, and for one just added, a
    retry is better than a refusal. When every endpoint of a pool only looks suspect, all are named.
    """

    def __init__(self, tell: Callable[[str, int], None] = lambda _pool, _count: None) -> None:
        """`tell` is called after each round of probes: how many endpoints of a pool are healthy."""
        self._tell = tell
        self._sick: set[str] = set()
        self._suspect_until: dict[str, float] = {}
        self._pools: Mapping[str, Sequence[str]] = {}
        self._endpoints: dict[str, str] = {}

    def track(self, pools: Mapping[str, Sequence[str]], health_paths: Mapping[str, str]) -> None:
        """Say which endpoints there are, and where those of each pool tell their health."""
        self._pools = pools
        self._endpoints = {e: health_paths[pool] for pool in pools for e in pools[pool]}
        self._sick.intersection_update(self._endpoints)
        self._tell_healthy()

    def _tell_healthy(self) -> None:
        for pool, endpoints in self._pools.items():
            self._tell(pool, sum(endpoint not in self._sick for endpoint in endpoints))

    def healthy(self, endpoints: Sequence[str]) -> Sequence[str]:
        well = [endpoint for endpoint in endpoints if endpoint not in self._sick]
        if not self._suspect_until:
            return well
        now = monotonic()
        trusted = [each for each in well if self._suspect_until.get(each, 0.0) < now]
        return trusted or well

    def suspect(self, endpoint: str) -> None:
        self._suspect_until[endpoint] = monotonic() + SUSPECT_S

    async def watch(self) -> None:
        """Probe for ever; cancel to stop."""
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
                await asyncio.sleep(PROBE_INTERVAL_S)

    async def _probe(self, session: aiohttp.ClientSession, endpoint: str, path: str) -> None:
        try:
            async with session.get(f"http://{endpoint}{path}", allow_redirects=False) as answer:
                well = answer.status < 500
        except (aiohttp.ClientError, TimeoutError, OSError):
            well = False
        if well and endpoint in self._sick:
            self._sick.discard(endpoint)
            log.warning(Event.ENDPOINT_HEALTHY, endpoint=endpoint)
        elif not well and endpoint not in self._sick and endpoint in self._endpoints:
            self._sick.add(endpoint)
            log.warning(Event.ENDPOINT_UNHEALTHY, endpoint=endpoint)
