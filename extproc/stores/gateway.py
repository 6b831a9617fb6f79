"""The gateway's own door, for filters that ask another model on a client's behalf: `ports.Asker`."""

import asyncio
from collections.abc import Mapping

import aiohttp

from extproc.errors import AskError

MAX_BYTES = 4 * 1024 * 1024
"""Of an answer: a short one, with the probability of each token."""


class GatewayClient:
    """Asks through Envoy, so that what is asked is judged and billed. The worker closes it."""

    def __init__(self, url: str) -> None:
        """`url`: where Envoy listens for clients."""
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Opened by the first question."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=0),
                headers={"content-type": "application/json", "accept-encoding": "identity"},
            )
        return self._session

    async def ask(
        self, path: str, headers: Mapping[str, str], body: bytes, within_s: float
    ) -> bytes:
        try:
            async with (
                asyncio.timeout(within_s),
                self.session.post(
                    f"{self._url}{path}", data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                if answer.status != 200:
                    raise AskError(f"answered {answer.status}")
                return await read_all(answer)
        except TimeoutError:
            raise AskError(f"no answer within {within_s:g} s") from None
        except (aiohttp.ClientError, OSError) as exc:
            raise AskError(str(exc) or type(exc).__name__) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def read_all(answer: aiohttp.ClientResponse) -> bytes:
    """Read the body. Raises: AskError when it is too large."""
    raw = bytearray()
    async for chunk in answer.content.iter_any():
        raw += chunk
        if len(raw) > MAX_BYTES:
            raise AskError(f"answered more than {MAX_BYTES} bytes")
    return bytes(raw)
