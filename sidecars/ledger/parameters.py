"""Query parameters: which there are, what they may hold, and what is meant by them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ledger.question import DIMENSIONS, Condition, UsageError, parse_time, parse_where, parse_zone
from ledger.steps import from_ms, to_ms
from sidecars.common.errors import Code, Refusal
from sidecars.common.identity import Identity
from sidecars.ledger.cursor import MAX_CHARS

T = TypeVar("T")

Text = Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00]*$")]
"""As much as the ledger keeps of any text; PostgreSQL's have no zero byte."""
Texts = Annotated[list[Text], Field(max_length=50)]
Time = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Form = Literal["json", "csv"]

OPERATORS_ONLY = frozenset({"endpoint"})
"""Dimensions that tell how the gateway is built, which is for those alone who see all of it."""

_LOST_PLUS = re.compile(r"(T[0-9:.]+) (\d\d:?\d\d)")


class Parameters(BaseModel):
    """Those that every question has: a period, filters, a page. One that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid")

    since: Time = Field("24h", description="From when: `30m`, `12h`, `7d` before now, or ISO time.")
    until: Time | None = Field(None, description="Until when, the same way; without it, now.")
    tz: Annotated[str, StringConstraints(max_length=64)] = Field(
        "UTC", description="IANA time zone of times without one, and of the answer."
    )
    limit: int = Field(100, ge=1, le=1000, description="Rows of a page.")
    cursor: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = Field(
        None, description="`next_cursor` of the page before. All else must stay the same."
    )
    format: Form | None = Field(None, description="Instead of the `Accept` header.")
    where: Texts = Field([], description="`model=demo`, `status!=200`; nothing after it is `none`.")
    # Several values are alternatives; an empty one stands for "none".
    tenant: Texts = []
    project: Texts = []
    user: Texts = []
    group: Texts = []
    region: Texts = []
    key_id: Texts = []
    model: Texts = []
    track: Texts = []
    version: Texts = []
    pool: Texts = []
    cluster: Texts = []
    gpu: Texts = []
    endpoint: Texts = []
    operation: Texts = []
    status: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^([0-9]{1,3})?$")]], Field(max_length=50)
    ] = []
    deny_reason: Texts = []
    policy: Texts = []
    price: Texts = []

    def conditions(self, who: Identity) -> Sequence[Condition]:
        """Collect the filters. Raises: Refusal, also for one that is not for `who`."""
        given = {name: cast("list[str]", getattr(self, name)) for name in DIMENSIONS}
        found = [
            Condition(name, tuple(value or None for value in values))
            for name, values in given.items()
            if values
        ]
        more = naming("where", lambda: parse_where(self.where))
        for condition in found:
            check_dimension(condition.dimension, who, condition.dimension)
        for condition in more:
            check_dimension(condition.dimension, who, "where")
        return (*found, *more)


class RequestParameters(Parameters):
    """What single requests can be found by, besides."""

    request_id: Texts = []
    trace_id: Texts = []

    def ids(self) -> Mapping[str, Sequence[str]]:
        given = {"request_id": self.request_id, "trace_id": self.trace_id}
        return {name: values for name, values in given.items() if values}


def check_dimension(dimension: str, who: Identity, param: str) -> None:
    """Raises: Refusal for a dimension that is not for `who`."""
    if dimension in OPERATORS_ONLY and who.scope != "all":
        raise refusal(param, f"{dimension} is for those alone who may see all tenants")


@dataclass(frozen=True, slots=True)
class Period:
    """[since, until), and the zone to show them in. Milliseconds since the epoch."""

    since_ms: int
    until_ms: int
    zone: tzinfo
    zone_name: str

    def at(self, ms: int) -> str:
        """Write a point in time in the zone of the answer."""
        return write_time(from_ms(ms, self.zone))


def read_period(parameters: Parameters, now: datetime) -> Period:
    """Raises: Refusal, naming the parameter at fault."""
    zone = naming("tz", lambda: parse_zone(parameters.tz))

    def read(name: str, text: str) -> datetime:
        # A `+` in a URL means a space: an offset that lost its sign that way gets it back.
        mended = _LOST_PLUS.sub(r"\1+\2", text)
        return naming(name, lambda: parse_time(mended, now, zone))

    since = read("since", parameters.since)
    until = read("until", parameters.until) if parameters.until else now.astimezone(UTC)
    if since >= until:
        said = f"nothing lies between {write_time(since)} and {write_time(until)}"
        raise refusal("since", said)
    return Period(to_ms(since), to_ms(until), zone, parameters.tz)


def write_time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def naming(param: str, read: Callable[[], T]) -> T:
    """Let what cannot be read be refused by the parameter's name."""
    try:
        return read()
    except UsageError as fault:
        raise refusal(param, str(fault)) from None


def refusal(param: str, said: str) -> Refusal:
    return Refusal(Code.INVALID_REQUEST, f"{param}: {said}.", param)
