import pytest

from alerts.verdict import LIMITED_WAIT_S, LONGEST_WAIT_S, Verdict, judge, read_retry_after

NOW_S = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"ok", Verdict("delivered")),
        (204, b"", Verdict("delivered")),
        (200, b'{"errcode":0,"errmsg":"ok"}', Verdict("delivered")),
        (200, b'{"errcode":"?"}', Verdict("delivered")),
        (200, b"\xff", Verdict("delivered")),
        (200, b'{"errcode":93000}', Verdict("refused", "errcode 93000")),
        (
            200,
            b'{"errcode":310000,"errmsg":"sign not match"}',
            Verdict("refused", "errcode 310000"),
        ),
        (200, b'{"errcode":45009}', Verdict("later", "errcode 45009", LIMITED_WAIT_S)),
        (200, b'{"errcode":-1}', Verdict("later", "errcode -1")),
        (302, b"", Verdict("refused", "status 302")),
        (400, b"invalid_payload", Verdict("refused", "status 400")),
        (404, b"", Verdict("refused", "status 404")),
        (408, b"", Verdict("later", "status 408")),
        (429, b"", Verdict("later", "status 429")),
        (500, b"", Verdict("later", "status 500")),
        (503, b"", Verdict("later", "status 503")),
    ],
)
def test_judge(status, body, expected):
    assert judge(status, body, None, NOW_S) == expected


def test_a_receiver_may_say_how_long():
    assert judge(429, b"", "30", NOW_S).wait_s == 30
    assert judge(200, b'{"errcode":45009}', "30", NOW_S).wait_s == 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, 0),
        ("", 0),
        ("7", 7),
        ("999999999999", LONGEST_WAIT_S),
        ("-3", 0),
        ("soon", 0),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60),
        ("Mon, 21 Sep 2026 14:14:20 -0000", 60),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT_S),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", 0),
    ],
)
def test_retry_after(text, expected):
    assert read_retry_after(text, NOW_S) == expected
