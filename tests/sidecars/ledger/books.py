"""A ledger of two tenants whose every text gives its owner away, and ways to ask for it."""

import contextlib
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Booked, Change
from sidecars.common.identity import Identity
from sidecars.ledger.app import make_app
from sidecars.ledger.reader import Books

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
"""The day on which Europe's clocks go forward."""
MINUTE_MS = 60_000

MARKS = {"acme": "aq7x", "globex": "gz9k"}
"""Nothing a client sends has these, and every text of a tenant's rows has its own."""
ACME, GLOBEX = Identity("tenant", "aq7x-acme"), Identity("tenant", "gz9k-globex")
SUPPORT = Identity("project", "aq7x-acme", "aq7x-support")
ALL = Identity("all", "aq7x-acme")


def now_ms():
    return round(NOW.timestamp() * 1000)


def row(tenant, number, **changed):
    """One request of a tenant, `number` minutes ago."""
    mark = MARKS[tenant]
    known = {
        "settle_key": f"{mark}{number:06}",
        "start_ms": now_ms() - number * MINUTE_MS - 1,
        "request_id": f"{mark}-r{number}",
        "trace_id": mark * 8,
        "operation": "chat",
        "tenant": f"{mark}-{tenant}",
        "project": f"{mark}-{('support', 'search')[number % 2]}",
        "user": f"{mark}-user{number % 3}",
        "groups": f"{mark}-staff",
        "region": f"{mark}-eu",
        "key_id": f"{mark}-key",
        "model": f"{mark}-model{number % 2}",
        "track": "stable",
        "version": "1",
        "pool": f"{mark}-pool",
        "endpoint": "10.0.0.1:8000",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 4,
        "price": "1/0.5/2",
        "uncached_pusd": 6_000_000,
        "cached_pusd": 2_000_000,
        "completion_pusd": 10_000_000,
        "gpu_us": 1500,
        "energy_mj": 700,
        "own_pusd": 1_000_000,
        "status": 200,
        "ttft_us": 20_000,
        "latency_us": 80_500,
        "attempts": 1,
        "policy": mark,
    }
    return Row(**known | changed)


def rows():
    """40 of acme's, 25 of globex's, and one of nobody's."""
    nobody = Row(
        "nobody", now_ms() - MINUTE_MS, operation="chat", status=401, deny_reason="invalid_api_key"
    )
    acme = [row("acme", number) for number in range(40)]
    return [*acme, *(row("globex", number) for number in range(25)), nobody]


def write(path, booked, **change):
    with contextlib.closing(open_ledger(path)) as ledger:
        ledger.commit(Change(rows=booked, booked_ms=now_ms(), **change))


def correct(path, old):
    """Book that the answer to `old` had a token more."""
    mended = msgspec.structs.replace(old, completion_tokens=6)
    write(path, [mended], replaced={old.settle_key: Booked(old, 0, None)})


@contextlib.contextmanager
def serving(path, clock=lambda: NOW):
    """The app over the ledger at `path`."""
    books = Books(path)
    try:
        yield make_app(books, clock)
    finally:
        books.close()


def told(identity):
    """The headers by which the gateway says who asks."""
    known = {"scope": identity.scope, "tenant": identity.tenant, "project": identity.project}
    return {f"x-headgate-{name}": value for name, value in known.items() if value}


class Client:
    """Asks the app as somebody."""

    def __init__(self, app, identity):
        transport = httpx.ASGITransport(app)
        self.http = httpx.AsyncClient(
            transport=transport, base_url="http://gateway", headers=told(identity)
        )

    async def get(self, path, **parameters):
        return await self.http.get(f"/headgate/v1/{path}", params=parameters)

    async def rows(self, path, **parameters):
        answer = await self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    async def walk(self, path, **parameters):
        """Every page, as lists of rows."""
        while True:
            answer = await self.get(path, **parameters)
            assert answer.status_code == 200, answer.text
            yield answer.json()["rows"]
            if not (cursor := answer.json()["next_cursor"]):
                return
            parameters["cursor"] = cursor


def ago(**spans):
    return (NOW - timedelta(**spans)).isoformat().replace("+00:00", "Z")
