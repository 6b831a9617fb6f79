"""Sums over HTTP: what a row tells, how rows are grouped, ordered and paged."""

from datetime import UTC, datetime

import pytest

from tests.sidecars.ledger.books import ACME, ALL, Client, row, rows, serving, write

HALF = {
    "requests": 20,
    "denied": 0,
    "unpriced": 0,
    "unsettled": 0,
    "estimated": 0,
    "cut": 0,
    "prompt_tokens": 200,
    "completion_tokens": 100,
    "cached_tokens": 80,
    "cost_usd": "0.00036",
    "uncached_usd": "0.00012",
    "cached_usd": "0.00004",
    "completion_usd": "0.0002",
    "gpu_s": 0.03,
    "energy_j": 14.0,
    "own_usd": None,
}
"""What the 20 requests of one of acme's projects add up to."""


async def test_a_row_and_the_total(acme):
    answer = (await acme.get("usage", by="project", order="name")).json()
    first, second = answer.pop("rows")
    ttft = {"ttft_p50_ms": first["ttft_p50_ms"], "ttft_p95_ms": first["ttft_p95_ms"]}
    assert all(19 < value < 21 for value in ttft.values())
    assert first == {"project": "aq7x-search", "other": False, **HALF, **ttft}
    assert second == {"project": "aq7x-support", "other": False, **HALF, **ttft}
    total = answer.pop("total")
    assert (total["requests"], total["cost_usd"]) == (40, "0.00072")
    assert answer == {
        "since": "2026-03-28T12:00:00.000Z",
        "until": "2026-03-29T12:00:00.000Z",
        "tz": "UTC",
        "by": ["project"],
        "next_cursor": None,
    }


async def test_who_sees_all_sees_what_serving_cost(everybody):
    (told,) = await everybody.rows("usage", by="endpoint", tenant="aq7x-acme")
    assert (told["endpoint"], told["own_usd"]) == ("10.0.0.1:8000", "0.00004")


async def test_sums_over_nothing(acme):
    answer = (await acme.get("usage", model="gone")).json()
    assert answer["rows"] == []
    assert answer["total"]["requests"] == 0
    assert answer["total"]["cost_usd"] == "0"
    assert answer["total"]["ttft_p50_ms"] is None


@pytest.mark.parametrize(
    ("asked", "groups"),
    [
        ({"by": ""}, [()]),
        ({"by": "tenant"}, [("aq7x-acme",)]),
        ({"by": "model,status"}, [("aq7x-model0", 200), ("aq7x-model1", 200)]),
        ({"by": "group"}, [("aq7x-staff",)]),
        ({"by": "cluster"}, [(None,)]),
        ({"by": "model", "where": "model!=aq7x-model0"}, [("aq7x-model1",)]),
        ({"by": "model", "where": ["project=aq7x-search"]}, [("aq7x-model1",)]),
        ({"by": "user", "top": 2}, [("aq7x-user0",), ("aq7x-user1",), (None,)]),
        ({"by": "user", "since": "1m"}, [("aq7x-user0",)]),
        ({"by": "day"}, [("2026-03-29",)]),
        ({"by": "", "step": "month", "tz": "Asia/Kolkata"}, [("2026-03",)]),
        ({"by": "", "step": "week"}, [("2026-W13",)]),
        ({"by": "", "step": "hour", "tz": "Europe/Berlin"}, [("2026-03-29T13:00+02:00",)]),
        ({"by": "", "step": "day", "fill": "true", "since": "2d"},
         [("2026-03-27",), ("2026-03-28",), ("2026-03-29",)]),
    ],
)  # fmt: skip
async def test_groups(acme, asked, groups):
    answer = (await acme.get("usage", **({"order": "name"} | asked))).json()
    names = answer["by"]
    assert [tuple(each[name] for name in names) for each in answer["rows"]] == groups
    assert sum(each["requests"] for each in answer["rows"]) == answer["total"]["requests"]


async def test_a_day_is_as_long_as_it_is_where_clocks_change(tmp_path):
    """On 29 March 2026 the clocks of Berlin go from 2 to 3: that day has 23 hours."""
    path = tmp_path / "ledger.sqlite"
    midnight_ms = round(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp() * 1000)
    hours = [
        row("acme", 0, settle_key=f"h{hour}", start_ms=midnight_ms + hour * 3_600_000)
        for hour in range(-2, 26)
    ]
    write(path, hours)
    with serving(path) as app:
        asked = {"since": "2026-03-28", "until": "2026-03-31", "tz": "Europe/Berlin", "by": ""}
        found = await Client(app, ACME).rows("usage", step="day", **asked)
    counts = {each["day"]: each["requests"] for each in found}
    assert counts == {"2026-03-28": 2, "2026-03-29": 23, "2026-03-30": 3}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"by": "modle"}, "by"),
        ({"by": "model,model"}, "by"),
        ({"by": "day,week"}, "by"),
        ({"by": "day", "step": "day"}, "by"),
        ({"by": "groups"}, "by"),
        ({"by": "endpoint"}, "by"),
        ({"by": "request_id"}, "by"),
        ({"by": "tenant; DROP TABLE entry"}, "by"),
        ({"step": "year"}, "step"),
        ({"order": "price"}, "order"),
        ({"top": 0}, "top"),
        ({"top": 10_001}, "top"),
        ({"fill": "perhaps"}, "fill"),
        ({"where": "hour=1"}, "where"),
        ({"status": "abc"}, "status"),
        ({"since": "1h", "until": "2h"}, "since"),
        ({"by": "hour", "since": "1990-01-01"}, "since"),
        ({"by": "hour,user,model", "since": "10000h", "fill": "true"}, "by"),
        ({"request_id": "x"}, "request_id"),
        ({"cursor": "x"}, "cursor"),
    ],
)
async def test_what_is_refused_is_named(acme, asked, param):
    answer = await acme.get("usage", **asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


async def test_the_order(tmp_path):
    path = tmp_path / "ledger.sqlite"
    booked = [
        row("acme", 1, model="tokens", prompt_tokens=99),
        row("acme", 2, model="cost", uncached_pusd=10**9),
        row("acme", 3, model="many", prompt_tokens=1),
        row("acme", 4, model="many", prompt_tokens=1),
    ]
    write(path, booked)
    with serving(path) as app:
        for order, first in (("tokens", "tokens"), ("cost", "cost"), ("requests", "many")):
            found = await Client(app, ACME).rows("usage", order=order)
            assert found[0]["model"] == first
        names = [each["model"] for each in await Client(app, ACME).rows("usage", order="name")]
    assert names == ["cost", "many", "tokens"]


ORDERS = ["tokens", "cost", "requests", "name"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "asked", [{"by": "user,model"}, {"by": "hour,user"}, {"top": 1, "by": "user"}]
)
async def test_pages_have_every_row_once(everybody, order, asked):
    whole = await everybody.rows("usage", order=order, limit=1000, **asked)
    assert len(whole) >= 2
    for limit in (1, 3):
        pages = [page async for page in everybody.walk("usage", order=order, limit=limit, **asked)]
        assert [each for page in pages for each in page] == whole
        assert all(pages)


async def test_pages_by_name_have_every_group_once_while_the_ledger_grows(tmp_path):
    path = tmp_path / "ledger.sqlite"
    write(path, rows())
    with serving(path) as app:
        seen, number = [], 0
        async for page in Client(app, ALL).walk("usage", by="user", order="name", limit=1):
            seen += [each["user"] for each in page]
            number += 1
            late = [row("acme", 0, settle_key=f"late{number}{i}", user=f"u{i}") for i in range(2)]
            write(path, late)
    assert len(seen) == len({*seen})
    assert {f"{mark}-user{n}" for mark in ("aq7x", "gz9k") for n in range(3)} <= {*seen}


async def test_csv(acme):
    answer = await acme.get("usage", by="day,project", order="name", format="csv")
    head, first, _ = answer.text.splitlines()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert head.startswith("day,project,other,requests,denied,")
    assert first.startswith("2026-03-29,aq7x-search,false,20,0,")
