from pathlib import Path

import pytest

from dataplane.gateway import ConfigError, Files, Gateway, Pool, Sidecar, parse_endpoint

STATE = Path("/srv/headgate")


def gateway(**changed) -> Gateway:
    settings = {
        "port": 8080,
        "files": Files.under(STATE),
        "worker_sockets": (STATE / "run" / "worker-0.sock",),
        "pools": (Pool("tiny", ("127.0.0.1:8000",)),),
    }
    return Gateway(**settings | changed)


@pytest.mark.parametrize("text", ["127.0.0.1:8000", "10.1.2.3:1", "[::1]:8000", "[fd00::2]:65535"])
def test_an_endpoint_reads_as_it_is_written(text):
    assert str(parse_endpoint(text)) == text


def test_an_ipv6_address_has_one_form():
    assert str(parse_endpoint("[fd00:0:0::02]:80")) == "[fd00::2]:80"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("localhost:8000", "names a host"),
        ("engine.example:80", "names a host"),
        ("127.0.0.1", "not of the form"),
        ("127.0.0.1:0", "not of the form"),
        ("127.0.0.1:65536", "not of the form"),
        ("http://127.0.0.1:80", "not of the form"),
        ("::1:80", "not of the form"),
        ("[127.0.0.1]:80", "brackets"),
        ("127.0.0.1:80\n", "not of the form"),
        ("", "not of the form"),
    ],
)
def test_what_is_no_endpoint(text, why):
    with pytest.raises(ConfigError, match=why):
        parse_endpoint(text)


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "a\n", 'a"', "..", "x" * 64])
def test_what_is_no_pool_name(name):
    with pytest.raises(ConfigError, match="a name has 1 to 63"):
        Pool(name, ())


@pytest.mark.parametrize(
    ("endpoints", "why"),
    [
        (("127.0.0.1:1", "127.0.0.1:1"), "listed twice"),
        (("localhost:1",), "names a host"),
        (("[0:0::1]:1",), r"write endpoint '\[0:0::1\]:1' as \[::1\]:1"),
    ],
)
def test_what_is_no_pool(endpoints, why):
    with pytest.raises(ConfigError, match=why):
        Pool("tiny", endpoints)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"port": 65536}, "port 65536"),
        ({"address": "localhost"}, "not an IP address"),
        ({"worker_sockets": ()}, "at least one worker"),
        ({"worker_sockets": (Path("/" + "x" * 107),)}, "108 bytes, 107 is the most"),
        ({"pools": (Pool("a", ()), Pool("a", ()))}, "two pools have the same name"),
        ({"sidecars": (Sidecar("a", STATE, 1),) * 2}, "two sidecars have the same name"),
    ],
)
def test_what_is_no_gateway(changed, why):
    with pytest.raises(ConfigError, match=why):
        gateway(**changed)


@pytest.mark.parametrize(
    ("name", "socket", "why"),
    [("a/b", STATE, "sidecar 'a/b'"), ("", STATE, "sidecar ''"), ("a", Path("x" * 108), "107")],
)
def test_what_is_no_sidecar(name, socket, why):
    with pytest.raises(ConfigError, match=why):
        Sidecar(name, socket, 1)


def test_no_pool_can_be_called_like_a_sidecar():
    with pytest.raises(ConfigError, match="a name has 1 to 63"):
        Pool(Sidecar("ledger", STATE, 1).pool, ())


def test_an_admin_socket_must_fit_too():
    with pytest.raises(ConfigError, match="shorter --state"):
        Files.under(Path("/" + "x" * 100))


def test_a_pools_file():
    assert gateway().endpoints_file(Pool("tiny", ())) == STATE / "envoy/endpoints/tiny.yaml"
