import asyncio
import threading

import httpx
import pytest

from sidecars.names import app
from sidecars.names.app import MOST_WAITING, make_app
from sidecars.names.reader import Reader
from tests.sidecars.names.listed import Listed


def client(model=None, token=""):
    served = make_app(Reader([model or Listed(Mona="person", Acme="organization")]), token)
    return httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://names")


async def test_names_are_found_in_each_text():
    async with client() as http:
        answer = await http.post("/find", json={"texts": ["Mona of Acme", "", "\U0001f600 Mona"]})
    person = {"type": "person", "start": 0, "end": 4}
    assert answer.json() == {
        "findings": [
            [person, {"type": "organization", "start": 8, "end": 12}],
            [],
            [{"type": "person", "start": 2, "end": 6}],
        ]
    }


async def test_only_types_that_were_asked_for_are_told():
    async with client() as http:
        answer = await http.post("/find", json={"texts": ["Mona of Acme"], "types": ["person"]})
    assert [each["type"] for each in answer.json()["findings"][0]] == ["person"]


async def test_places_count_from_the_beginning_of_a_long_text():
    text = "All is well. " * 400 + "Mona"
    async with client() as http:
        answer = await http.post("/find", json={"texts": [text]})
    (found,) = answer.json()["findings"][0]
    assert text[found["start"] : found["end"]] == "Mona"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"text": ["x"]}', "unknown field `text`"),
        (b'{"types": []}', "missing required field `texts`"),
        (b'{"texts": "x"}', "$.texts"),
        (b'{"texts": [7]}', "$.texts[0]"),
        (b'{"texts": ["\\ud800"]}', "truncated"),
        (b'{"texts": ["\xff"]}', "utf-8"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(body, said):
    async with client() as http:
        answer = await http.post("/find", content=body)
    assert answer.status_code == 400
    assert said.lower() in answer.json()["error"]["message"].lower()


async def test_a_body_that_is_too_long_is_refused():
    async with client() as http:
        answer = await http.post("/find", content=b"x" * (app.MOST_BYTES + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("sent", "status"), [("Bearer secret", 200), ("Bearer other", 401), ("", 401)]
)
async def test_a_token_is_asked_for_when_there_is_one(sent, status):
    async with client(token="secret") as http:
        headers = {"authorization": sent} if sent else {}
        answer = await http.post("/find", json={"texts": []}, headers=headers)
    assert answer.status_code == status


async def test_it_says_that_it_is_well():
    async with client() as http:
        assert (await http.get("/health")).status_code == 200


class Slow(Listed):
    """Reads when it is let."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def find(self, text):
        assert self.go.wait(20)
        return super().find(text)


async def test_too_many_at_once_are_told_so():
    model = Slow()
    async with client(model) as http, asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(http.post("/find", json={"texts": ["x"]}))
            for _ in range(MOST_WAITING + 1)
        ]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status_code for task in done] == [503]
        model.go.set()
    assert sorted({task.result().status_code for task in asked}) == [200, 503]
