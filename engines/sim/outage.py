"""Faults of a whole engine, which may be switched on and off while it runs: `POST /x_sim/faults`."""

from typing import Annotated

import msgspec
from msgspec import Meta

DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
"""What vLLM says from the moment its engine has died, of memory for example."""


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """What to do from now on. Members that are not sent change nothing."""

    error_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    """The share of all requests that is answered with `error_status`."""
    error_status: Annotated[int, Meta(ge=400, le=599)] | None = None
    stall_s: Annotated[float, Meta(ge=0, le=3600)] | None = None
    """No token for so long; health and metrics go on."""
    health_status: Annotated[int, Meta(ge=200, le=599)] | None = None
    out_of_memory: bool | None = None
    """As when CUDA is out of memory: all that runs fails, whatever comes fails with 500, health is
    503; false makes it well again, with an empty batch."""
    crash: bool = False
    """End the process, at once, without a word."""


class Outage(msgspec.Struct):
    """What holds now."""

    error_rate: float
    error_status: int = 503
    health_status: int = 200
    is_dead: bool = False

    def apply(self, faults: Faults) -> None:
        """Take over what is told. Stalls and crashes are the caller's."""
        if faults.error_rate is not None:
            self.error_rate = faults.error_rate
        if faults.error_status is not None:
            self.error_status = faults.error_status
        if faults.health_status is not None:
            self.health_status = faults.health_status
        if faults.out_of_memory is not None:
            self.is_dead = faults.out_of_memory

    @property
    def health(self) -> int:
        return 503 if self.is_dead else self.health_status
