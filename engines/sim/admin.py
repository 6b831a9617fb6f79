"""What an operator does to a running engine: faults, and LoRA adapters that come and go."""

import asyncio
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from aiohttp import web

from engines.sim.engine import SimEngine
from engines.sim.outage import Faults, Outage
from engines.sim.refusal import RefusedError
from engines.sim.schema import field_of, place_of

_CRASHED = 134
"""The exit code of a process that was aborted, as vLLM's workers are by CUDA."""

_T = TypeVar("_T")


class Adapter(msgspec.Struct):
    """The body of both LoRA operations."""

    lora_name: str
    lora_path: str = ""
    load_inplace: bool = False


class Admin:
    """The operations beside vLLM's own, and who dies when the engine does."""

    def __init__(self, engine: SimEngine, leave: Callable[[int], object] = os._exit) -> None:
        self.outage = Outage(engine.settings.fail_rate)
        self._engine = engine
        self._leave = leave
        self._tasks: set[asyncio.Task[object]] = set()
        self._doomed: set[asyncio.Task[object]] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/x_sim/faults", self._faults),
            web.post("/v1/load_lora_adapter", self._load),
            web.post("/v1/unload_lora_adapter", self._unload),
        ]

    @contextmanager
    def fate(self) -> Generator[None]:
        """What is done inside dies with the engine: RefusedError."""
        task = asyncio.current_task()
        if task is None:  # never, in a request
            yield
            return
        is_outer = task not in self._tasks
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._doomed:
                raise
            self._doomed.discard(task)
            task.uncancel()
            raise RefusedError.dead() from None
        finally:
            if is_outer:
                self._tasks.discard(task)
                self._doomed.discard(task)

    async def _faults(self, http: web.Request) -> web.Response:
        faults = _read(await http.read(), Faults)
        self.outage.apply(faults)
        if faults.crash:
            self._leave(_CRASHED)
        if faults.stall_s is not None:
            self._engine.stall.until_s = time.monotonic() + faults.stall_s
            if self._engine.driver is not None:
                self._engine.driver.stall(self._engine.stall.until_s)
        if faults.out_of_memory:
            self._doomed |= self._tasks
            for task in self._tasks:
                task.cancel()
        return web.json_response(msgspec.to_builtins(self.outage))

    async def _load(self, http: web.Request) -> web.Response:
        adapter = _read(await http.read(), Adapter)
        name = adapter.lora_name
        if not name or not adapter.lora_path:
            raise RefusedError.invalid("Both 'lora_name' and 'lora_path' must be provided.")
        if name in self._engine.adapters and not adapter.load_inplace:
            raise RefusedError.invalid(f"The lora adapter '{name}' has already been loaded.")
        self._engine.adapters[name] = adapter.lora_path
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, http: web.Request) -> web.Response:
        name = _read(await http.read(), Adapter).lora_name
        if name not in self._engine.adapters:
            message = f"The lora adapter '{name}' cannot be found."
            raise RefusedError(message, status=404, kind="NotFoundError", param=None)
        del self._engine.adapters[name]
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")


def _read(raw: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as wrong:
        raise RefusedError.malformed(str(wrong), field_of(str(wrong))) from None
    except msgspec.DecodeError as wrong:
        raise RefusedError.malformed(str(wrong), place_of(str(wrong), raw)) from None
