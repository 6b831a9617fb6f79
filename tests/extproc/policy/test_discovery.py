"""Who names endpoints, as policies say it."""

import pytest
from pydantic import ValidationError

from extproc.policy.catalog import PoolPolicy
from extproc.policy.discovery import DnsPolicy, KubernetesPolicy, SourcePolicy

DNS = {"dns": {"host": "vllm.llm.svc", "port": 8000}}
SLICES = {"kubernetes": {"service": "vllm", "namespace": "llm"}}


def pool(**more):
    return PoolPolicy.model_validate({"name": "p", **more})


def test_a_pool_names_its_endpoints_or_those_who_do():
    assert pool(discover=[DNS]).discover[0].dns == DnsPolicy(host="vllm.llm.svc", port=8000)
    both = pool(endpoints=["10.0.0.1:80"], discover=[DNS, {**SLICES, "role": "decode"}])
    assert [source.role for source in both.discover] == ["both", "decode"]
    with pytest.raises(ValidationError, match="give endpoints, or discover them"):
        pool()


@pytest.mark.parametrize("source", [{}, {**DNS, **SLICES}])
def test_a_source_is_exactly_one(source):
    with pytest.raises(ValidationError, match="exactly one of dns and kubernetes"):
        SourcePolicy.model_validate(source)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "", "port": 1},
        {"host": "a b", "port": 1},
        {"host": "a/b", "port": 1},
        {"host": "-a", "port": 1},
        {"host": "a", "port": 0},
        {"host": "a", "port": 1, "interval_s": 0.01},
    ],
)
def test_names_that_are_none(wrong):
    with pytest.raises(ValidationError):
        DnsPolicy.model_validate(wrong)


@pytest.mark.parametrize(
    ("more", "fine"),
    [
        ({"port": 8000}, True),
        ({"port": "http"}, True),
        ({"port": "HTTP"}, False),
        ({"port": 70000}, False),
        ({"service": "a/b"}, False),
        ({"namespace": "../x"}, False),
        ({"api": "https://10.0.0.1:6443"}, True),
        ({"api": "https://me:secret@10.0.0.1"}, False),
        ({"api": "https://10.0.0.1/?x"}, False),
        ({"api": "ftp://10.0.0.1"}, False),
        ({"token_file": "/var/token", "ca_file": "/var/ca.crt"}, True),
    ],
)
def test_services(more, fine):
    given = {"service": "vllm", "namespace": "llm", **more}
    if fine:
        assert KubernetesPolicy.model_validate(given)
    else:
        with pytest.raises(ValidationError):
            KubernetesPolicy.model_validate(given)


def test_roles_and_events_belong_to_what_can_have_them():
    named = pool(endpoints=["10.0.0.1:80"], endpoint_roles={"10.0.0.1:80": "prefill"})
    assert named.endpoint_roles == {"10.0.0.1:80": "prefill"}
    with pytest.raises(ValidationError, match=r"10\.0\.0\.2:80 is no endpoint of this pool"):
        pool(endpoints=["10.0.0.1:80"], endpoint_roles={"10.0.0.2:80": "prefill"})
    assert pool(discover=[DNS], kv_events={"port": 5557}).kv_events.ranks == 1
    with pytest.raises(ValidationError, match="llamacpp does not publish any"):
        pool(discover=[DNS], engine="llamacpp", kv_events={"port": 5557})
