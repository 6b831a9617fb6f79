"""Single requests over HTTP: what is told of them, in which order, and page by page."""

from datetime import timedelta

import pytest

from tests.sidecars.ledger.books import (
    ACME,
    MARKS,
    NOW,
    Client,
    ago,
    correct,
    row,
    rows,
    serving,
    write,
)

PATH = "usage/requests"


async def test_one_request_as_it_is_told(acme):
    (told,) = await acme.rows(PATH, limit=1)
    assert told == {
        "id": "aq7x000000",
        "time": "2026-03-29T11:59:59.999Z",
        "request_id": "aq7x-r0",
        "trace_id": "aq7x" * 8,
        "operation": "chat",
        "tenant": "aq7x-acme",
        "project": "aq7x-support",
        "user": "aq7x-user0",
        "groups": "aq7x-staff",
        "region": "aq7x-eu",
        "key_id": "aq7x-key",
        "model": "aq7x-model0",
        "track": "stable",
        "version": "1",
        "pool": "aq7x-pool",
        "cluster": None,
        "gpu": None,
        "endpoint": None,
        "n": None,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 4,
        "price": "1/0.5/2",
        "cost_usd": "0.000018",
        "uncached_usd": "0.000006",
        "cached_usd": "0.000002",
        "completion_usd": "0.00001",
        "gpu_s": 0.0015,
        "energy_j": 0.7,
        "own_usd": None,
        "status": 200,
        "deny_reason": None,
        "ttft_ms": 20.0,
        "latency_ms": 80.5,
        "attempts": 1,
        "unsettled": False,
        "estimated": False,
        "cut": False,
        "policy": "aq7x",
        "corrections": 0,
    }


async def test_who_sees_all_sees_also_how_it_is_built(everybody):
    (told,) = await everybody.rows(PATH, limit=1)
    assert (told["endpoint"], told["own_usd"]) == ("10.0.0.1:8000", "0.000001")


async def test_what_is_not_known_is_null(everybody):
    (told,) = await everybody.rows(PATH, deny_reason="invalid_api_key")
    assert told["tenant"] is told["cost_usd"] is told["prompt_tokens"] is told["ttft_ms"] is None
    assert told["status"] == 401


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, 40),
        ({"project": "aq7x-support"}, 20),
        ({"project": ["aq7x-support", "aq7x-search"]}, 40),
        ({"model": "aq7x-model1", "user": "aq7x-user0"}, 7),
        ({"request_id": "aq7x-r7"}, 1),
        ({"trace_id": "aq7x" * 8}, 40),
        ({"status": 200}, 40),
        ({"status": [429, 503]}, 0),
        ({"deny_reason": ""}, 40),
        ({"cluster": ""}, 40),
        ({"model": ""}, 0),
        ({"model": ["", "aq7x-model1"]}, 20),
        ({"model": "AQ7X-MODEL1"}, 0),
        ({"since": "10m"}, 10),
        ({"since": "30m", "until": "10m"}, 20),
        ({"since": ago(minutes=5), "until": ago(minutes=3)}, 2),
        ({"since": "2026-03-29T13:55", "tz": "Europe/Berlin"}, 5),
        ({"since": "2026-03-29T13:55:00+02:00"}, 5),
        ({"since": "2026-03-29", "until": "2026-03-30"}, 40),
        ({"since": "2020-01-01", "until": "2020-01-02"}, 0),
    ],
)
async def test_what_is_asked_for(acme, asked, count):
    found = await acme.rows(PATH, limit=1000, **asked)
    assert len(found) == count
    assert [each["time"] for each in found] == sorted((e["time"] for e in found), reverse=True)


async def test_times_are_told_in_the_zone_asked_for(acme):
    answer = (await acme.get(PATH, tz="America/New_York", since="1h", limit=1)).json()
    assert answer["tz"] == "America/New_York"
    assert answer["since"] == "2026-03-29T07:00:00.000-04:00"
    assert answer["rows"][0]["time"] == "2026-03-29T07:59:59.999-04:00"


@pytest.mark.parametrize("limit", [1, 7, 39, 40, 41])
async def test_pages_have_everything_once(acme, limit):
    pages = [page async for page in acme.walk(PATH, limit=limit)]
    found = [each["id"] for page in pages for each in page]
    assert found == [f"aq7x{number:06}" for number in range(40)]
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1], "no page is empty"


async def test_pages_have_everything_once_while_the_ledger_grows(tmp_path):
    """New requests come, and old ones are corrected: what was there is there once."""
    path = tmp_path / "ledger.sqlite"
    write(path, rows())
    with serving(path) as app:
        seen, number = [], 0
        async for page in Client(app, ACME).walk(PATH, limit=3):
            seen += [each["id"] for each in page]
            number += 1
            late = row("acme", 0, settle_key=f"aq7xnew{number}", start_ms=row("acme", 0).start_ms)
            write(path, [late, row("globex", 100 + number)])
            correct(path, row("acme", 39 - number))
    assert sorted(seen) == sorted({*seen})
    assert {f"aq7x{n:06}" for n in range(40)} <= set(seen)


async def test_a_correction_is_told(tmp_path):
    path = tmp_path / "ledger.sqlite"
    write(path, [row("acme", 1, user=None)])
    correct(path, row("acme", 1, user=None))
    with serving(path) as app:
        (told,) = await Client(app, ACME).rows(PATH)
    assert (told["completion_tokens"], told["corrections"]) == (6, 1)


async def test_pages_of_a_moving_period_are_about_the_first_ones_period(ledger):
    times = iter([NOW, NOW + timedelta(hours=2)])
    with serving(ledger, lambda: next(times)) as app:
        client = Client(app, ACME)
        first = (await client.get(PATH, since="1h", limit=5)).json()
        second = (await client.get(PATH, since="1h", limit=5, cursor=first["next_cursor"])).json()
    assert (second["since"], second["until"]) == (first["since"], first["until"])
    assert len(second["rows"]) == 5


async def test_a_page_links_to_the_next_one(acme):
    answer = await acme.get(PATH, limit=30, model=["aq7x-model0", "aq7x-model1"])
    link = answer.links["next"]
    assert link["url"].startswith("/headgate/v1/usage/requests?")
    following = await acme.http.get(link["url"])
    assert len(following.json()["rows"]) == 10
    assert "link" not in following.headers


async def test_the_marks_are_where_they_should_be(acme, globex):
    for client, own, other in ((acme, "acme", "globex"), (globex, "globex", "acme")):
        text = (await client.get(PATH, limit=1000)).text
        assert MARKS[own] in text
        assert MARKS[other] not in text
