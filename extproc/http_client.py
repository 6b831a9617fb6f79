"""Questions to what is beside or behind the gateway: JSON is posted, and so much of an answer is read."""

from collections.abc import Mapping
from typing import ClassVar

import aiohttp

from extproc.errors import HeadgateError

JSON = {"content-type": "application/json"}


class AnswerError(HeadgateError):
    """Another answer than 200. The message says what was done, and leaves out who did it."""

    def __init__(self, said: str, status: int = 200) -> None:
        super().__init__(said)
        self.status = status


class LongAnswerError(AnswerError):
    """It has more bytes than were to be read."""


class HttpClient:
    """One connection pool, opened by the first question because most workers never ask one, and again by one
    after its end. The worker closes it. Keeps no cookies and follows no redirects."""

    HEADERS: ClassVar[Mapping[str, str]] = {**JSON, "accept-encoding": "identity"}
    """Of each question."""
    UNPACKS: ClassVar[bool] = False
    """Whether compressed answers are understood: a small one may become a large one."""
    MOST_CONNECTIONS: ClassVar[int] = 100
    """At a time, to all hosts together; others wait. 0: any number."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=self.UNPACKS,
                connector=aiohttp.TCPConnector(limit=self.MOST_CONNECTIONS),
                headers=self.HEADERS,
            )
        return self._session

    async def post(
        self, url: str, body: bytes, most_bytes: int, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """How long it may take is up to who asks.

        Raises:
            AnswerError: Another status than 200, or more than `most_bytes`.
            aiohttp.ClientError, OSError: No answer.
        """
        asked = self.session.post(url, data=body, headers=headers, allow_redirects=False)
        async with asked as answer:
            if answer.status != 200:
                raise AnswerError(f"answered {answer.status}", answer.status)
            raw = bytearray()
            async for chunk in answer.content.iter_chunked(1 << 16):
                raw += chunk
                if len(raw) > most_bytes:
                    raise LongAnswerError(f"answered more than {most_bytes} bytes")
            return bytes(raw)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
