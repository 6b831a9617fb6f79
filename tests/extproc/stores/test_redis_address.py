"""URLs of Redis."""

import ssl

import pytest

from extproc.stores.redis_address import Address, read_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/a%20b.sock", Address("one", ("/run/a b.sock",))),
        (
            "unix://:p%40ss@/run/r.sock?db=3",
            Address("one", ("/run/r.sock",), password="p@ss", db=3),
        ),
        ("redis://localhost", Address("one", (("localhost", 6379),))),
        (
            "redis://me:pw@10.0.0.1:7000/2",
            Address("one", (("10.0.0.1", 7000),), user="me", password="pw", db=2),
        ),
        ("redis://[::1]:7000", Address("one", (("::1", 7000),))),
        (
            "redis+sentinel://:pw@a,b:1234/mymaster/1",
            Address("sentinel", (("a", 26379), ("b", 1234)), "mymaster", password="pw", db=1),
        ),
        (
            "redis+cluster://a:7000,b",
            Address("cluster", (("a", 7000), ("b", 6379))),
        ),
    ],
)
def test_read(url, address):
    assert read_url(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost", "begin it with"),
        ("redis+proxy://localhost", "begin it with"),
        ("localhost:6379", "begin it with"),
        ("unix://", "as unix:///its/path"),
        ("unix+cluster:///run/r.sock", "as unix:///its/path"),
        ("redis://", "a host is missing"),
        ("redis+cluster://a,,b", "a host is missing"),
        ("redis+sentinel://a", "master's name"),
        ("redis://a/first", "the database is a number"),
        ("redis+cluster://a/1", "only database 0"),
        ("redis://a?ssl_ca_cert=x", "ssl_ca_cert is no option"),
        ("redis://a:99999", "Port out of range"),
    ],
)
def test_wrong(url, why):
    with pytest.raises(ValueError, match=why):
        read_url(url)


def test_the_password_is_not_shown():
    assert "secret" not in repr(read_url("redis://:secret@a"))
    with pytest.raises(ValueError, match="number") as caught:
        read_url("redis://:secret@a/x")
    assert "secret" not in str(caught.value)


def test_tls():
    tls = read_url("rediss://a").tls
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    tls = read_url("rediss+cluster://a?ssl_check_hostname=False").tls
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, False)
    tls = read_url("rediss://a?ssl_cert_reqs=none").tls
    assert tls.verify_mode == ssl.CERT_NONE
    with pytest.raises(FileNotFoundError):
        read_url("rediss://a?ssl_ca_certs=/nowhere.pem")
    with pytest.raises(FileNotFoundError):
        read_url("rediss://a?ssl_certfile=/nowhere.pem")
