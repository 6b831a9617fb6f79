"""grpc.health.v1: whether to send calls here. Envoy asks once a second, Kubernetes' probes too."""

import asyncio
from collections.abc import Iterable

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from extproc.rpc.call import Call, Method
from extproc.rpc.connection import Methods
from extproc.rpc.status import CallError, Status

Asking = Call[HealthCheckRequest, HealthCheckResponse]


class Health:
    """All of `services` are well or none is: they are one process. Those of `alive` are well for as
    long as it runs, whether or not calls are wanted."""

    def __init__(self, services: Iterable[str], alive: Iterable[str] = ()) -> None:
        self._alive = frozenset(alive)
        self._services = self._alive.union(services)
        self._serving = False
        self._leaving = False
        self._changed = asyncio.Event()

    def serve(self) -> None:
        self._serving = True
        self._tell()

    def leave(self) -> None:
        """Send calls elsewhere, for good."""
        self._serving, self._leaving = False, True
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def methods(self) -> Methods:
        decode, encode = HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
        return {
            "/grpc.health.v1.Health/Check": Method(self._check, decode, encode),
            "/grpc.health.v1.Health/Watch": Method(self._watch, decode, encode),
        }

    def _answer(self, service: str) -> HealthCheckResponse:
        known = HealthCheckResponse
        if service not in self._services:
            return known(status=known.SERVICE_UNKNOWN)
        well = self._serving or service in self._alive
        return known(status=known.SERVING if well else known.NOT_SERVING)

    async def _check(self, call: Asking) -> None:
        answer = self._answer(await read_service(call))
        if answer.status == HealthCheckResponse.SERVICE_UNKNOWN:
            raise CallError(Status.NOT_FOUND, "there is no such service")
        await call.write(answer)

    async def _watch(self, call: Asking) -> None:
        service = await read_service(call)
        while True:
            changed = self._changed
            await call.write(self._answer(service))
            if self._leaving:
                return
            await changed.wait()


async def read_service(call: Asking) -> str:
    asked = await call.read()
    if asked is None:
        raise CallError(Status.INVALID_ARGUMENT, "no service was named")
    return asked.service
