"""The gateway's own door, for filters that ask another model on a client's behalf: `ports.Asker`."""

import asyncio
from collections.abc import Mapping

import aiohttp

from extproc.errors import AskError
from extproc.http_client import AnswerError, HttpClient

MAX_BYTES = 4 * 1024 * 1024
"""Of an answer: a short one, with the probability of each token."""


class GatewayClient(HttpClient):
    """Asks through Envoy, so that what is asked is judged and billed."""

    MOST_CONNECTIONS = 0
    """No request waits for what another one asks."""

    def __init__(self, url: str) -> None:
        """`url`: where Envoy listens for clients."""
        super().__init__()
        self._url = url.rstrip("/")

    async def ask(
        self, path: str, headers: Mapping[str, str], body: bytes, within_s: float
    ) -> bytes:
        try:
            async with asyncio.timeout(within_s):
                return await self.post(f"{self._url}{path}", body, MAX_BYTES, headers)
        except TimeoutError:
            raise AskError(f"no answer within {within_s:g} s") from None
        except (AnswerError, aiohttp.ClientError, OSError) as exc:
            raise AskError(str(exc) or type(exc).__name__) from None
