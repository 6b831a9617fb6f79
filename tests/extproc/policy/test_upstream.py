"""Where a service elsewhere is, as policies say it."""

import re

import pytest
from pydantic import ValidationError

from dataplane import render
from extproc.errors import PolicyError
from extproc.policy.catalog import PoolPolicy
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader, resolve
from extproc.policy.show import show
from extproc.policy.upstream import UpstreamPolicy

OPENAI = {"url": "https://api.example.com/v1", "key": {"env": "EXAMPLE_KEY"}}


def where(**members):
    return UpstreamPolicy.model_validate(OPENAI | members).where()


def test_a_url_is_all_it_needs():
    found = where()
    assert (found.host, found.port, found.path) == ("api.example.com", 443, "/v1")
    assert (found.tls, found.key_header) == (True, "authorization")
    assert where(key=None).key_header == ""
    assert where(url="https://h.example:8443/openai/v1/").path == "/openai/v1"
    assert where(url="https://h.example").path == ""
    assert not where(url="http://10.0.0.1:8000/v1").tls


def test_anthropic_has_a_key_header_and_a_version():
    found = where(dialect="anthropic")
    assert found.key_header == "x-api-key"
    assert found.headers == {"anthropic-version": "2023-06-01"}
    own = where(dialect="anthropic", headers={"anthropic-version": "2030-01-01"})
    assert own.headers == {"anthropic-version": "2030-01-01"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key": "sk-secret"}, "a secret never stands in a policy"),
        ({"url": "https://user:pw@h.example/v1"}, "a secret never stands in a policy"),
        ({"url": "https://h.example/v1?key=1"}, "no query"),
        ({"url": "ftp://h.example/v1"}, "http"),
        ({"url": "https://h.example/v 1"}, "no path to begin with"),
        ({"headers": {"authorization": "Bearer x"}}, "set by the gateway"),
        ({"headers": {"X-Upper": "x"}}, "pattern"),
        ({"url": "http://h.example/v1", "sni": "x"}, "for https"),
        ({"dialect": "gemini"}, "anthropic"),
        ({"connect_s": 0}, "greater than or equal to 0.001"),
        ({"silence_s": 1e-05}, "greater than or equal to 0.001"),
        ({"connect_s": 3600.1}, "less than or equal to 3600"),
    ],
)
def test_what_is_wrong_is_said(wrong, said):
    with pytest.raises(ValidationError, match=said):
        UpstreamPolicy.model_validate(OPENAI | wrong)


@pytest.mark.parametrize("seconds", [0.001, 0.0015, 1, 3600])
def test_times_are_written_as_protobuf_reads_them(seconds):
    found = where(connect_s=seconds)
    assert found.connect_s == seconds
    assert re.fullmatch(r"[0-9]+(\.[0-9]{1,9})?s", render.seconds(found.connect_s))


def pool(**members):
    return PoolPolicy.model_validate({"name": "p", **members})


def test_a_pool_elsewhere_is_of_the_kind_of_its_dialect():
    assert pool(upstream=OPENAI).engine == "openai"
    assert pool(upstream=OPENAI | {"dialect": "anthropic"}).engine == "anthropic"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "give endpoints"),
        ({"upstream": OPENAI, "endpoints": ["10.0.0.1:80"]}, "not both"),
        ({"engine": "openai", "endpoints": ["10.0.0.1:80"]}, "say in upstream where it is"),
        ({"engine": "vllm", "upstream": OPENAI}, "leave it out"),
    ],
)
def test_a_pool_is_here_or_elsewhere(members, said):
    with pytest.raises(ValidationError, match=said):
        pool(**members)


def test_its_key_is_found_and_never_shown():
    policy = Policy.model_validate({"pools": [{"name": "p", "upstream": OPENAI}]})
    with pytest.raises(PolicyError):
        policy.pools[0].upstream.key.reveal()
    [(place, said)] = resolve(policy, SecretReader({}))
    assert place == ("pools", 0, "upstream", "key")
    assert "EXAMPLE_KEY is missing" in said
    assert not list(resolve(policy, SecretReader({"EXAMPLE_KEY": "sk-0123456789"})))
    assert policy.pools[0].upstream.key.reveal() == "sk-0123456789"
    assert "sk-0123456789" not in f"{policy!r}{show(policy)}{policy.model_dump()}"
