"""One connection of the load generator."""

import asyncio
from collections.abc import Callable
from typing import cast

from bench.answers import AnswerReader, BadAnswerError


class LoadError(Exception):
    """The run measured nothing of use. The message says why."""


class Connection(asyncio.Protocol):
    """One keep-alive connection that sends one and the same request."""

    def __init__(self, request: bytes, answered: Callable[["Connection"], None]) -> None:
        self.asked_at = 0.0
        """When the request was sent, or should have been: `perf_counter`."""
        self.reader = AnswerReader()
        self.reads = 0
        self.fault: Exception | None = None
        self._request = request
        self._answered = answered
        self._transport: asyncio.Transport | None = None
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class is not a subclass

    def ask(self, at: float) -> None:
        assert self._transport is not None
        self.asked_at = at
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        try:
            whole = self.reader.feed(data)
        except BadAnswerError as exc:
            self.fault = exc
            self.close()
            return
        if whole:
            self._answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self.fault = exc or LoadError("the gateway closed a connection")

    def close(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.close()
