"""Sums: who used how much of what, as a page of them goes out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from ledger.figures import Figures
from ledger.question import MAX_TOP, STEPS, Order, Question, Step, parse_by
from ledger.ranking import UsageRow as Row
from ledger.steps import from_ms, to_ms
from ledger.usage import Answer as Found
from sidecars.common.identity import Identity
from sidecars.ledger.answers import Answer, Cell, Record, scaled, usd
from sidecars.ledger.cursor import Place, bad_cursor
from sidecars.ledger.pages import Page
from sidecars.ledger.parameters import Parameters, Period, check_dimension, naming, refusal
from sidecars.ledger.reader import Reader

MAX_PLACES = 50_000
"""Groups times steps of one answer, page by page: a second and 50 MB."""
HOUR_MS, MAX_HOURS = 3_600_000, 10_000
"""Over a year; each takes time, whether anything happened in it or not."""


class UsageParameters(Parameters):
    """How sums are grouped and ordered."""

    by: Annotated[str, StringConstraints(max_length=256)] = Field(
        "model",
        description="Dimensions, separated by commas; none: one row for all. With `hour`, `day`, "
        "`week` or `month` the rows are sums of each.",
    )
    step: Step | None = Field(None, description="As if it came first in `by`.")
    top: int | None = Field(
        None, ge=1, le=MAX_TOP, description="This many groups; the others are summed up in a row."
    )
    order: Order | Literal["name"] = Field(
        "tokens", description="Of what the groups that come first have more; or their names."
    )
    fill: bool = Field(
        default=False, description="With a step: rows of groups that used nothing in it, too."
    )

    def question(self, who: Identity, period: Period) -> Question:
        """Raises: Refusal."""
        by = naming("by", lambda: (*([self.step] if self.step else ()), *parse_by(self.by)))
        for name in by:
            check_dimension(name, who, "by")
        hours = (period.until_ms - period.since_ms) // HOUR_MS
        if "hour" in by and hours > MAX_HOURS:
            raise refusal("since", f"so long a period has too many hours; {MAX_HOURS} are the most")
        where = tuple(self.conditions(who))
        return naming(
            "by",
            lambda: Question(
                by=by,
                since=from_ms(period.since_ms),
                until=from_ms(period.until_ms),
                where=where,
                top=self.top,
                order="tokens" if self.order == "name" else self.order,
                zone=period.zone,
                fill=self.fill,
                most=MAX_PLACES,
            ),
        )


class Sums(BaseModel):
    """Of requests; what is not known of one adds nothing. Amounts of money are exact decimals."""

    requests: int
    denied: int = Field(description="Refused by the gateway.")
    unpriced: int = Field(description="Of unknown cost, for want of a price or of tokens.")
    unsettled: int
    estimated: int
    cut: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="A part of prompt_tokens.")
    cost_usd: str
    uncached_usd: str
    cached_usd: str
    completion_usd: str
    gpu_s: float = Field(description="GPU time, as the cost model has it.")
    energy_j: float
    own_usd: str | None = Field(description="What serving cost. For readers of all tenants only.")
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None


class UsageRow(Sums):
    """One group, in one step of time if asked for. It has those dimensions that stand in `by`."""

    hour: str | None = None
    day: str | None = None
    week: str | None = None
    month: str | None = None
    tenant: str | None = None
    project: str | None = None
    user: str | None = None
    group: str | None = None
    region: str | None = None
    key_id: str | None = None
    model: str | None = None
    track: str | None = None
    version: str | None = None
    pool: str | None = None
    cluster: str | None = None
    gpu: str | None = None
    endpoint: str | None = None
    operation: str | None = None
    status: int | None = None
    deny_reason: str | None = None
    policy: str | None = None
    price: str | None = None
    other: bool = Field(description="All groups that are not among the top.")


class UsagePage(BaseModel):
    """Sums by group."""

    since: str
    until: str
    tz: str
    by: list[str]
    rows: list[UsageRow]
    total: Sums = Field(description="Of all pages.")
    next_cursor: str | None = Field(description="Of the next page; null on the last one.")


COLUMNS = tuple(Sums.model_fields)


def sum_up(reader: Reader, page: Page, question: Question, *, by_name: bool) -> Answer:
    """Ask, and take the page's part of the answer. Raises: Refusal."""
    found = reader.usage(question)
    rows = sorted(found.rows, key=lambda row: name_of(row, question)) if by_name else found.rows
    begin = 0 if page.after is None else behind(rows, page.after)
    shown = rows[begin : begin + page.limit]
    following = begin + len(shown) < len(rows)
    sees_all = reader.sees_all
    return Answer(
        told_period(page.period, found),
        (*question.by, "other", *COLUMNS),
        [usage_row(row, question, sees_all=sees_all) for row in shown],
        page.cursor_after(place_of(shown[-1])) if following else None,
        {"by": question.by, "total": sums(found.total, sees_all=sees_all)},
    )


def told_period(asked: Period, found: Found) -> Period:
    """The period as it was answered: where single entries are gone, at whole quarters of an hour."""
    assert found.since is not None
    assert found.until is not None
    return replace(asked, since_ms=to_ms(found.since), until_ms=to_ms(found.until))


def place_of(row: Row) -> Place:
    return (int(row.other), *row.group)


def behind(rows: Sequence[Row], place: Place) -> int:
    """Find where the rows after a place begin. Sums change while requests are settled, and with
    them the order; a group stays."""
    for number, row in enumerate(rows):
        if place_of(row) == place:
            return number + 1
    raise bad_cursor()


def name_of(row: Row, question: Question) -> tuple[object, ...]:
    """Order by step, then by names, what is unknown first and all others last."""
    step = [value for name, value in zip(question.by, row.group, strict=True) if name in STEPS]
    names = ((value is not None, value or "") for value in row.group)
    return (*step, row.other, *names)


def usage_row(row: Row, question: Question, *, sees_all: bool) -> Record:
    group: dict[str, Cell] = dict(zip(question.by, row.group, strict=True))
    if (status := group.get("status")) is not None:
        group["status"] = int(status)
    return {**group, "other": row.other, **sums(row.figures, sees_all=sees_all)}


def sums(figures: Figures, *, sees_all: bool) -> Record:
    row: dict[str, Cell] = {
        "requests": figures.requests,
        "denied": figures.denied,
        "unpriced": figures.unpriced,
        "unsettled": figures.unsettled,
        "estimated": figures.estimated,
        "cut": figures.cut,
        "prompt_tokens": figures.prompt_tokens,
        "completion_tokens": figures.completion_tokens,
        "cached_tokens": figures.cached_tokens,
        "cost_usd": usd(figures.cost_pusd),
        "uncached_usd": usd(figures.uncached_pusd),
        "cached_usd": usd(figures.cached_pusd),
        "completion_usd": usd(figures.completion_pusd),
        "gpu_s": scaled(figures.gpu_us, 1_000_000),
        "energy_j": scaled(figures.energy_mj, 1000),
        "own_usd": usd(figures.own_pusd) if sees_all else None,
        "ttft_p50_ms": scaled(figures.ttft_p50_us, 1000),
        "ttft_p95_ms": scaled(figures.ttft_p95_us, 1000),
    }
    return {name: row[name] for name in COLUMNS}
