"""From a policy to what the watch process looks at, and back."""

import msgspec
import pytest

from engines.watch.config import Config, Dns, Kubernetes, KvEvents, Pool, Static
from engines.watch.messages import Member
from extproc.policy.models import Policy
from extproc.policy.watching import joined, static_members, watch_config

A, B = "10.0.0.1:80", "10.0.0.2:80"
POLICY = Policy.model_validate(
    {
        "pools": [
            {"name": "named", "endpoints": [A, B], "endpoint_roles": {B: "decode"}},
            {
                "name": "found",
                "engine": "sim",
                "endpoints": [A],
                "discover": [
                    {"dns": {"host": "vllm.llm.svc", "port": 8000, "interval_s": 2}},
                    {
                        "kubernetes": {
                            "service": "vllm",
                            "namespace": "llm",
                            "port": "http",
                            "api": "https://10.0.0.9:6443/",
                            "token_file": "/run/token",
                        },
                        "role": "prefill",
                    },
                ],
                "kv_events": {"port": 5557, "replay_port": 5558},
            },
        ]
    }
).at("v7")


def test_all_of_it():
    compiled = watch_config(POLICY)
    assert compiled == Config(
        "v7",
        (
            Pool("named", "vllm", (Static(A), Static(B, "decode"))),
            Pool(
                "found",
                "sim",
                (Static(A),),
                (Dns("vllm.llm.svc", 8000, 2.0),),
                (
                    Kubernetes(
                        "llm", "vllm", "http", "https://10.0.0.9:6443", "/run/token", role="prefill"
                    ),
                ),
                KvEvents(5557, 5558),
            ),
        ),
    )
    assert msgspec.json.decode(msgspec.json.encode(compiled), type=Config) == compiled


def test_what_the_policy_itself_names():
    assert static_members(POLICY) == {
        "named": ([Member(A), Member(B, role="decode")], False),
        "found": ([Member(A)], True),
    }


@pytest.mark.parametrize(
    ("members", "endpoints"),
    [
        ({}, (A,)),
        ({"found": []}, (A,)),
        ({"found": [A, B]}, (A, B)),
        ({"named": ["10.0.0.5:80"], "gone": [B]}, (A,)),
    ],
)
def test_those_that_were_found_are_as_if_the_policy_named_them(members, endpoints):
    both = joined(POLICY, members)
    assert both.pools[0].endpoints == (A, B), "of a pool that discovers none, nobody else names any"
    assert both.pools[1].endpoints == endpoints
    assert both.version == "v7"


def test_there_is_nothing_to_look_at_elsewhere():
    policy = Policy.model_validate(
        {"pools": [{"name": "gpt", "upstream": {"url": "https://api.example.com/v1"}}]}
    )
    assert not watch_config(policy).pools
    assert not static_members(policy)
