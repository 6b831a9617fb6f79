from dataclasses import FrozenInstanceError

import pytest

from engines.kind import EVERY_OPERATION, Engine
from engines.load import NOTHING


def test_a_kind_claims_nothing_that_is_not_said():
    bare = Engine("vllm", "/health", "", lambda _: NOTHING, frozenset({"chat"}))
    assert not bare.salted
    claims = (bare.continuous_usage, bare.tokenizes, bare.renders, bare.lists_adapters)
    assert not any((*claims, bare.kv_events, bare.counts_tokens))
    with pytest.raises(FrozenInstanceError):
        bare.operations = EVERY_OPERATION
