import pytest

from dataplane.gateway import ConfigError, Upstream


def test_what_is_derived():
    upstream = Upstream("api.example.com", 443, key_header="authorization")
    assert str(upstream) == "api.example.com:443"
    assert upstream.authority == "api.example.com"
    assert upstream.name == "api.example.com"
    assert upstream.key_prefix == "Bearer "
    other = Upstream("10.0.0.1", 8443, key_header="x-api-key", sni="inside.example")
    assert (other.authority, other.name, other.key_prefix) == (
        "10.0.0.1:8443",
        "inside.example",
        "",
    )
    assert Upstream("10.0.0.1", 80, tls=False).authority == "10.0.0.1"


def test_lua_gets_texts_as_texts():
    upstream = Upstream("h", 443, "/a/v1", headers={"x-note": 'say "hi" \\ bye'})
    assert upstream.lua == (
        '{ path = "/a/v1", authority = "h", headers = { ["x-note"] = "say \\"hi\\" \\\\ bye" } }'
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "a b"},
        {"host": ""},
        {"host": "-a"},
        {"port": 0},
        {"port": 65536},
        {"path": "v1"},
        {"path": '/v1"'},
        {"path": "/v1/"},
        {"headers": {"X-Upper": "a"}},
        {"headers": {"x": "new\nline"}},
        {"headers": {"x": "é"}},
    ],
)
def test_what_cannot_be_written_down_is_refused(wrong):
    with pytest.raises(ConfigError):
        Upstream(**{"host": "h", "port": 443} | wrong)
