"""The whole API against its own description, and against whoever wants to see more than theirs."""

import base64
from itertools import cycle
from urllib.parse import unquote

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from ledger.question import DIMENSIONS, STEPS
from sidecars.ledger.app import make_app
from sidecars.ledger.reader import Books
from tests.sidecars.ledger.books import ACME, ALL, GLOBEX, MARKS, SUPPORT, Client, told

NOT_OURS = [
    ignored_auth,  # credentials are the gateway's to judge
    positive_data_acceptance,  # 2026-02-30 looks like a date, and `by` like any text
]
HIDDEN = {ACME: (MARKS["globex"],), GLOBEX: (MARKS["acme"],)}
HIDDEN[SUPPORT] = (MARKS["globex"], "aq7x-search")
"""What nobody may find in the answers to these."""


class Late:
    """An app that is there when the tests run; its description is needed when they are collected."""

    def __init__(self):
        self.app = make_app(Books("nowhere"))

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


LATE = Late()
TURN = cycle(HIDDEN)
schema = schemathesis.openapi.from_asgi("/headgate/v1/openapi.json", LATE)


@pytest.fixture(autouse=True)
def here(app):
    LATE.app = app


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_api_is_as_described_and_nobody_sees_anybody_else(case):
    """What answers to one contain is sent as parameters by the others: Schemathesis learns."""
    identity = next(TURN)
    answer = case.call_and_validate(headers=told(identity), excluded_checks=NOT_OURS)
    for mark in HIDDEN[identity]:
        repeated = answer.status_code == 400 and mark in unquote(answer.request.url)
        assert repeated or mark not in answer.text


OTHERS = ["gz9k-globex", "aq7x-acme", "aq7x-search", "gz9k-user1", "gz9k-model0", "GZ9K-GLOBEX"]
NASTY = ["' OR '1'='1", "') OR 1=1 --", "gz9k-globex'/*", '"', "\\", "1;DROP TABLE entry", "%", "_"]
ODD = ["", "*", "${tenant}", "\u202e", "A\u0308", "gz9k-globex\ngz9k-globex", "gz9k-globex "]
VALUES = st.sampled_from([*OTHERS, *NASTY, *ODD])
FREE = [name for name in DIMENSIONS if name not in ("endpoint", "status")]
"""Those that nobody is refused for."""
SIGNS = st.sampled_from(["=", "!="])
CONDITIONS = st.builds("{}{}{}".format, st.sampled_from(FREE), SIGNS, VALUES)
BY = st.lists(st.sampled_from(FREE), unique=True, max_size=4).map(",".join)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.lists(VALUES, min_size=1, max_size=2) for name in FREE},
        "where": st.lists(CONDITIONS, max_size=3),
        "limit": st.integers(1, 9),
        "since": st.sampled_from(["1h", "2020-01-01", "5m"]),
    },
)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(HIDDEN, key=repr)), ASKED, BY, st.booleans())
async def test_no_question_reaches_beyond(app, identity, asked, by, sums):
    path, more = ("usage", {"by": by}) if sums else ("usage/requests", {})
    answer = await Client(app, identity).get(path, **asked, **more)
    assert answer.status_code == 200, answer.text
    for mark in HIDDEN[identity]:
        assert mark not in answer.text


@pytest.mark.parametrize("path", ["usage", "usage/requests"])
async def test_nobody_goes_on_with_a_cursor_of_others(app, path):
    asked = {"limit": 1, "since": "7d"} | ({"by": "user"} if path == "usage" else {})
    cursors = {}
    for identity in (ACME, SUPPORT, GLOBEX, ALL):
        first = await Client(app, identity).get(path, **asked)
        cursors[identity] = first.json()["next_cursor"]
        assert cursors[identity]
    for identity, cursor in cursors.items():
        for other in cursors:
            answer = await Client(app, other).get(path, **asked, cursor=cursor)
            assert answer.status_code == (200 if other is identity else 400)
            if other is not identity:
                assert answer.json()["error"]["param"] == "cursor"


async def test_a_cursor_that_somebody_made_up_shows_their_own_rows_alone(app):
    client = Client(app, ACME)
    cursor = (await client.get("usage/requests", limit=1)).json()["next_cursor"]
    known = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=="))
    for place in (
        [2**61, "\uffff"],
        [0, ""],
        [-5, "gz9k000001"],
        [2**63, "x"],
        ["x", 1],
        [1],
        [None],
    ):
        made = base64.urlsafe_b64encode(msgspec.json.encode([*known[:3], place])).decode()
        answer = await client.get("usage/requests", limit=1000, cursor=made)
        assert answer.status_code in (200, 400)
        assert MARKS["globex"] not in answer.text


@pytest.mark.parametrize("path", ["usage", "usage/requests", "usage/dimensions"])
async def test_nobody_asks_without_an_identity(app, path):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        answer = await client.get(f"/headgate/v1/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_identity")


@pytest.mark.parametrize("path", ["usage", "usage/requests", "usage/dimensions", "openapi.json"])
async def test_head_and_other_methods(acme, path):
    got = await acme.get(path)
    head = await acme.http.head(f"/headgate/v1/{path}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = await acme.http.request(method, f"/headgate/v1/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["", "usage/", "usage/x", "usage/requests/", "Usage", "docs"])
async def test_what_is_not_there(acme, path):
    answer = await acme.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


async def test_dimensions(acme, everybody):
    shown = [each["name"] for each in (await acme.get("usage/dimensions")).json()["dimensions"]]
    all_of_them = (await everybody.get("usage/dimensions")).json()["dimensions"]
    assert [each["name"] for each in all_of_them] == [*DIMENSIONS, *STEPS]
    assert {each["name"] for each in all_of_them} - {*shown} == {"endpoint"}
    assert all(each["description"] for each in all_of_them)
