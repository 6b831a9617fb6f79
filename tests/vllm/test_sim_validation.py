"""Against real vLLM on CPU: the simulator finds the same tokens cached, and lets the same ones wait.

With a cache of 4 400 tokens, so that blocks are given up all the time. `python -m engines.sim
validate` does more of the same and prints a table; docs/simulator.md has one.
"""

import os

import msgspec
import pytest

from engines.localvllm.launch import Server, running
from engines.localvllm.model import write_model
from engines.sim.core import Core
from engines.sim.measure import Engine
from engines.sim.profile import PROFILES
from engines.sim.validate import compare_chats, validate
from tests.e2e.conftest import ROOT, free_port

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
SMALL_GIB = 0.0042
"""137 blocks of 32 tokens: just enough for one of the longest prompts that the model takes."""


async def test_the_simulator_is_like_vllm(tmp_path):
    model = tmp_path / "model"
    write_model(model)
    server = Server(ROOT / ".vllm", model, free_port(), kv_cache_gib=SMALL_GIB)
    log = tmp_path / "vllm.log"
    async with (
        running(server, os.environ, log, lambda _: None),
        Engine(server.url, server.served_name) as engine,
    ):
        told = await engine.load()
        profile = msgspec.structs.replace(
            PROFILES["cpu-tiny"], blocks=told.blocks, block_tokens=told.block_tokens
        )
        core = Core(profile, kv_events=True)
        turns = await compare_chats(engine, core, chats=10, seed="cached")
        assert core.kv_changes().removed, "nothing was ever given up"
        result = await validate(engine, profile, "load", chats=0, prompts=40)

    vllm = [(turn.prompt_tokens, turn.vllm_cached_tokens) for turn in turns]
    ours = [(turn.prompt_tokens, turn.core_cached_tokens) for turn in turns]
    assert ours == vllm
    assert sum(cached for _, cached in vllm) > 0
    # How long is the machine's business here; who before whom is the scheduler's.
    assert result.rank > 0.3, result
