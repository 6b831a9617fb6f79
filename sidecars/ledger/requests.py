"""Single requests: what is told of each, and which of them stand on a page."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from ledger.question import Condition
from sidecars.ledger.answers import Answer, Cell, Record, scaled, usd
from sidecars.ledger.cursor import Place, bad_cursor
from sidecars.ledger.pages import Page
from sidecars.ledger.parameters import Period
from sidecars.ledger.reader import Listing, Reader


class RequestRow(BaseModel):
    """One request. `null` is not known; amounts of money are exact decimals."""

    id: str = Field(description="The gateway's own id, unique. `request_id` may repeat.")
    time: str = Field(description="When it arrived.")
    request_id: str | None
    trace_id: str | None
    operation: str | None
    tenant: str | None
    project: str | None
    user: str | None
    groups: str | None = Field(description="Separated by commas.")
    region: str | None
    key_id: str | None
    model: str | None
    track: str | None
    version: str | None
    pool: str | None
    cluster: str | None
    gpu: str | None
    endpoint: str | None = Field(description="For readers of all tenants only.")
    n: int | None = Field(description="How many answers were asked for.")
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None = Field(description="A part of prompt_tokens.")
    price: str | None = Field(description="US dollars for a million tokens: `INPUT/CACHED/OUTPUT`.")
    cost_usd: str | None
    uncached_usd: str | None
    cached_usd: str | None
    completion_usd: str | None
    gpu_s: float | None = Field(description="GPU time, as the cost model has it.")
    energy_j: float | None
    own_usd: str | None = Field(description="What serving cost. For readers of all tenants only.")
    status: int | None = Field(description="0: the client left before an answer began.")
    deny_reason: str | None
    ttft_ms: float | None
    latency_ms: float | None
    attempts: int | None
    unsettled: bool = Field(description="Nobody told how it ended.")
    estimated: bool = Field(description="The engine said nothing of its tokens.")
    cut: bool = Field(description="The answer broke off midway.")
    policy: str | None
    corrections: int = Field(description="How often this row was corrected.")


class RequestsPage(BaseModel):
    """Single requests, the latest first."""

    since: str
    until: str
    tz: str
    rows: list[RequestRow]
    next_cursor: str | None = Field(description="Of the next page; null on the last one.")


COLUMNS = tuple(RequestRow.model_fields)

MAX_MS = 2**62
"""What fits into a column."""

_AS_THEY_ARE = (
    "request_id", "trace_id", "operation", "tenant", "project", "user", "groups", "region",
    "key_id", "model", "track", "version", "pool", "cluster", "gpu", "n", "prompt_tokens",
    "completion_tokens", "cached_tokens", "price", "status", "deny_reason", "attempts", "policy",
)  # fmt: skip
_PARTS = ("uncached_pusd", "cached_pusd", "completion_pusd")


def list_requests(
    reader: Reader, page: Page, conditions: Sequence[Condition], ids: Mapping[str, Sequence[str]]
) -> Answer:
    """Ask for one more than the page holds: it tells whether there is a next one. Raises: Refusal."""
    period = page.period
    wanted = Listing(
        since_ms=period.since_ms,
        until_ms=period.until_ms,
        conditions=conditions,
        ids=ids,
        limit=page.limit + 1,
        after=None if page.after is None else read_place(page.after),
    )
    found = reader.requests(wanted)
    shown, following = found[: page.limit], None
    if len(found) > len(shown):
        following = page.cursor_after((shown[-1]["start_ms"], shown[-1]["settle_key"]))
    rows = [request_row(each, period, sees_all=reader.sees_all) for each in shown]
    return Answer(period, COLUMNS, rows, following)


def read_place(place: Place) -> tuple[int, str]:
    match place:
        case (int(start_ms), str(key)) if abs(start_ms) < MAX_MS and "\0" not in key:
            return start_ms, key
        case _:
            raise bad_cursor()


def request_row(found: Mapping[str, str | int | None], period: Period, *, sees_all: bool) -> Record:
    """Turn a row of the view `request` into one of the answer."""
    numbers = {name: value for name, value in found.items() if isinstance(value, int)}
    parts = [numbers.get(name) for name in _PARTS]
    row: dict[str, Cell] = {
        **{name: found[name] for name in _AS_THEY_ARE},
        "id": found["settle_key"],
        "time": period.at(numbers["start_ms"]),
        "endpoint": found["endpoint"] if sees_all else None,
        "cost_usd": usd(None if None in parts else sum(part or 0 for part in parts)),
        **{
            name.replace("_pusd", "_usd"): usd(part)
            for name, part in zip(_PARTS, parts, strict=True)
        },
        "gpu_s": scaled(numbers.get("gpu_us"), 1_000_000),
        "energy_j": scaled(numbers.get("energy_mj"), 1000),
        "own_usd": usd(numbers.get("own_pusd")) if sees_all else None,
        "ttft_ms": scaled(numbers.get("ttft_us"), 1000),
        "latency_ms": scaled(numbers.get("latency_us"), 1000),
        **{name: bool(numbers[name]) for name in ("unsettled", "estimated", "cut")},
        "corrections": numbers["revision"] // 2,
    }
    return {name: row[name] for name in COLUMNS}
