"""JSON and CSV, which of both, and what HTTP says about an answer."""

import csv
import io
from datetime import UTC
from decimal import Decimal

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ledger.answers import Answer, choose_form, respond, usd, write_csv
from sidecars.ledger.parameters import Period

PERIOD = Period(0, 3_600_000, UTC, "UTC")


def asking(query="", **headers):
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "GET", "path": "/p", "query_string": query.encode(),
        "headers": raw, "server": ("gateway", 80), "scheme": "http",
    }  # fmt: skip
    return Request(scope)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "json"),
        ("", "json"),
        ("application/json", "json"),
        ("text/csv", "csv"),
        ("TEXT/CSV; charset=utf-8", "csv"),
        ("text/*", "csv"),
        ("application/*", "json"),
        ("text/csv;q=0.5, application/json", "json"),
        ("text/csv, application/json;q=0.5", "csv"),
        ("text/csv, */*;q=0.1", "csv"),
        ("text/csv;q=0", "json"),
        ("text/html, */*", "json"),
        ("text/csv;q=nonsense, */*", "json"),
        (",;,;;q=,", "json"),
    ],
)
def test_which_form_a_client_likes_better(accept, form):
    assert choose_form(asking(accept=accept), None) == form


def test_a_parameter_decides():
    assert choose_form(asking(accept="text/csv"), "json") == "json"
    assert choose_form(asking(), "csv") == "csv"


ANSWER = Answer(PERIOD, ("a", "b"), [{"a": "x", "b": 1}], None)


def test_an_answer_is_kept_by_who_asked_alone():
    headers = respond(asking(), "json", ANSWER).headers
    assert headers["cache-control"] == "private, no-cache"
    assert {"Authorization", "X-Api-Key", "X-Tenant-ID"} <= set(headers["vary"].split(", "))


def test_an_answer_that_is_known_is_not_sent_again():
    etag = respond(asking(), "json", ANSWER).headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = respond(asking(if_none_match=known), "json", ANSWER)
        assert (again.status_code, again.body) == (304, b"")
        assert again.headers["etag"] == etag
    assert respond(asking(if_none_match='"x"'), "json", ANSWER).status_code == 200
    assert respond(asking(if_none_match=etag), "csv", ANSWER).status_code == 200


def test_the_next_page_is_linked():
    answer = Answer(PERIOD, ("a",), [], "c1")
    link = respond(asking("x=%C3%A9&x=2&cursor=c0"), "json", answer).headers["link"]
    assert link == '</p?x=%C3%A9&x=2&cursor=c1>; rel="next"'


def test_a_link_that_would_be_too_long_is_left_out():
    answer = Answer(PERIOD, ("a",), [], "c" * 100)
    assert "link" in respond(asking("x=" + "y" * 16_000), "json", answer).headers
    assert "link" not in respond(asking("x=" + "y" * 17_000), "json", answer).headers


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        ("a,b", '"a,b"'),
        ('a"\r\nb', '"a""\r\nb"'),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("\tx", "'\tx"),
        ("-0.5", "-0.5"),
        (-1, "-1"),
        ("-1;=x", "'-1;=x"),
    ],
)
def test_cells(cell, written):
    assert write_csv(("a", "b"), [{"a": cell, "b": 0}]) == f"a,b\r\n{written},0\r\n".encode()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(TEXTS, st.none() | st.integers()), max_size=5))
def test_csv_reads_as_it_was_written_and_computes_nothing(pairs):
    written = write_csv(("a", "b"), [{"a": a, "b": b} for a, b in pairs]).decode()
    _, *rows = csv.reader(io.StringIO(written, newline=""))
    for (a, b), (read_a, read_b) in zip(pairs, rows, strict=True):
        assert read_a in (a, f"'{a}")
        assert read_b == ("" if b is None else str(b))
        assert not read_a.startswith(("=", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("pusd", "written"),
    [
        (None, None),
        (0, "0"),
        (1, "0.000000000001"),
        (150_000, "0.00000015"),
        (10**12, "1"),
        (100 * 10**12, "100"),
        (1_500_000_000_000, "1.5"),
        (-1_500_000_000_000, "-1.5"),
        (123_456_789_012_345_678_901_234, "123456789012.345678901234"),
    ],
)
def test_money(pusd, written):
    assert usd(pusd) == written


@given(st.integers(-(10**26), 10**26))
def test_money_is_exact(pusd):
    assert Decimal(usd(pusd)) * 10**12 == pusd
    assert "E" not in usd(pusd)
