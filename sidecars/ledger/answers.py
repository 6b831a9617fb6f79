"""Answers as JSON or CSV, and what HTTP says about them.

CSV has the members of JSON rows. A text that a spreadsheet would take for a formula gets an
apostrophe before it: some texts, such as request ids, are clients' own.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
from fastapi import Request
from starlette.responses import Response

from ledger.figures import write_usd
from sidecars.ledger.parameters import Form, Period

Cell = str | int | float | bool | None
Record = Mapping[str, Cell]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How cells begin that spreadsheets compute (OWASP, "CSV Injection")."""

NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)

MAX_LINK_CHARS = 16 * 1024
"""A question may be as long as Envoy lets it; the headers of an answer must fit into its 60 KiB."""

VARY = "Accept, Authorization, X-Api-Key, X-Tenant-ID, X-Project-ID"

_JSON, _CSV = "application/json", "text/csv"
_WEIGHTS: Mapping[str, Mapping[str, int]] = {
    "json": {_JSON: 3, "application/*": 2, "*/*": 1},
    "csv": {_CSV: 3, "text/*": 2, "*/*": 1},
}


def choose_form(request: Request, asked: Form | None) -> Form:
    """JSON, unless CSV is asked for: by parameter, or because the client likes it better."""
    if asked:
        return asked
    accept = request.headers.get("accept", "*/*")
    return "csv" if liking(accept, "csv") > liking(accept, "json") else "json"


def liking(accept: str, form: Form) -> float:
    """Read how much a client likes a form: the weight of the range that fits it best (RFC 9110
    12.5.1)."""
    best, liked = 0, 0.0
    for part in accept.lower().split(","):
        kind, *parameters = (each.strip() for each in part.split(";"))
        fit = _WEIGHTS[form].get(kind, 0)
        if fit > best:
            best, liked = fit, weight(parameters)
    return liked


def weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of an answer."""

    period: Period
    columns: Sequence[str]
    rows: Sequence[Record]
    next_cursor: str | None
    """None on the last page."""
    more: Mapping[str, object] = field(default_factory=dict[str, object])
    """What else JSON tells."""

    def document(self) -> Mapping[str, object]:
        return {
            "since": self.period.at(self.period.since_ms),
            "until": self.period.at(self.period.until_ms),
            "tz": self.period.zone_name,
            **self.more,
            "rows": self.rows,
            "next_cursor": self.next_cursor,
        }


def respond(request: Request, form: Form, answer: Answer) -> Response:
    headers = {"cache-control": "private, no-cache", "vary": VARY}
    if answer.next_cursor:
        following = request.url.include_query_params(cursor=answer.next_cursor)
        link = f'<{following.path}?{following.query}>; rel="next"'
        if len(link) <= MAX_LINK_CHARS:
            headers["link"] = link
    if form == "csv":
        content, media_type = write_csv(answer.columns, answer.rows), f"{_CSV}; charset=utf-8"
    else:
        content, media_type = msgspec.json.encode(answer.document()), _JSON
    headers["etag"] = f'"{blake2b(content, digest_size=16).hexdigest()}"'
    if is_known(headers["etag"], request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, media_type)


def is_known(etag: str, given: str) -> bool:
    """Compare weakly, as RFC 9110 13.1.2 wants it."""
    tags = (tag.strip().removeprefix("W/") for tag in given.split(","))
    return any(tag in (etag, "*") for tag in tags)


def write_csv(columns: Sequence[str], rows: Iterable[Record]) -> bytes:
    """Write RFC 4180. What is not known is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([plain(row[column]) for column in columns])
    return out.getvalue().encode()


def plain(cell: Cell) -> Cell:
    match cell:
        case bool():
            return "true" if cell else "false"
        case str() if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell):
            return f"'{cell}"
        case _:
            return cell


def usd(pusd: int | None) -> str | None:
    return None if pusd is None else write_usd(pusd)


def scaled(amount: int | None, by: int) -> float | None:
    return None if amount is None else amount / by
