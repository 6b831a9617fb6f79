"""An open loop: requests are sent when they are due, whatever became of those before."""

import asyncio
import time

import httpx

from faults.answer import Answer
from faults.client import PATIENCE_S, ask
from faults.mix import Ask, Mix

OPEN_MAX = 2000
"""Requests under way. More means that nothing is answered any more; then no more are sent."""
SECONDS_MAX = 300.0


class Load:
    """Asks from `run` until `stop`, and remembers every answer."""

    def __init__(self, url: str, mix: Mix, rate: float) -> None:
        """`rate`: requests per second."""
        self.answers: list[Answer] = []
        self._url = url
        self._mix = mix
        self._rate = rate
        self._open = 0
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Send until `stop`, and wait for what is under way then."""
        limits = httpx.Limits(max_connections=OPEN_MAX, max_keepalive_connections=100)
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=PATIENCE_S, limits=limits) as client,
            asyncio.TaskGroup() as asked,
        ):
            begun_s = time.monotonic()
            for number in range(int(SECONDS_MAX * self._rate)):
                await asyncio.sleep(max(0.0, begun_s + number / self._rate - time.monotonic()))
                if self._stop.is_set():
                    return
                if self._open < OPEN_MAX:
                    asked.create_task(self._ask(client, self._mix.next()))

    async def _ask(self, client: httpx.AsyncClient, one: Ask) -> None:
        self._open += 1
        self.answers.append(await ask(client, one))
        self._open -= 1
