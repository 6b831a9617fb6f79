from math import inf

import msgspec
import pytest

from engines.blocks import chain, root, token_bytes
from engines.sim import validate
from engines.sim.core import Core
from engines.sim.engine import Settings
from engines.sim.measure import Engine, Seen
from engines.sim.profile import PROFILES
from engines.sim.validate import Result, Turn, Waited, block_hashes, load_of, replay, table

from .conftest import Start

PROFILE = msgspec.structs.replace(PROFILES["cpu-tiny"], startup_s=0.0)


def test_whole_blocks_are_hashed_in_a_chain():
    hashes = block_hashes(range(7), 3, "salt")
    first = chain(root("salt"), token_bytes(range(3)))
    assert hashes == (first, chain(first, token_bytes(range(3, 6))))


def test_a_load_is_the_same_for_the_same_seed_and_never_two_at_once():
    asks = load_of(40, "seed")
    assert asks == load_of(40, "seed")
    times = [ask.at_s for ask in asks]
    assert times == sorted(set(times))
    assert all(16 <= len(ask.ids) <= 3500 for ask in asks)


def test_the_core_gets_them_when_they_were_sent():
    asks = load_of(10, "seed")
    seen = [Seen(sent_s=ask.at_s, first_s=ask.at_s + 0.5, last_s=9.0) for ask in asks]
    waited = replay(Core(PROFILE), asks, seen, 1000.0)
    assert [one.prompt_tokens for one in waited] == [len(ask.ids) for ask in asks]
    assert all(one.vllm_s == 0.5 for one in waited)
    assert all(0.002 < one.core_s < 5 for one in waited)


def test_what_is_told():
    turns = (Turn(0, 100, 64, 64), Turn(1, 50, 0, 32))
    waited = tuple(Waited(100, 0.2 * n, 0.1 * n) for n in (1, 2, 3))
    result = Result(turns, waited, 0.25, 0.125)
    assert (result.equal, result.factor) == (1, 2.0)
    assert (result.rank, result.error) == (pytest.approx(1.0), pytest.approx(0.5))
    assert result.error_of_shape == pytest.approx(0.0)
    lines = table(result).splitlines()
    assert "| of them cached | 64 | 96 |" in lines
    assert "| mean time in the queue | 250 ms | 125 ms |" in lines
    assert "| time to first token, longest | 600 ms | 300 ms |" in lines


async def test_the_engine_over_http_is_what_the_core_is(start: Start):
    """The same validation as against vLLM, with an engine that has no physics but the same cache."""
    sim = await start(Settings(ttft_ms=1, itl_ms=0, max_model_len=8192))
    async with Engine(f"http://127.0.0.1:{sim.port}", "tiny") as engine:
        result = await validate.validate(engine, PROFILE, "seed", chats=3, prompts=6)
    assert result.equal == len(result.turns) == 15
    assert sum(turn.core_cached_tokens for turn in result.turns) > 0
    assert max(one.core_s for one in result.waited) < inf


def test_who_does_not_answer(capsys: pytest.CaptureFixture[str]):
    assert validate.main(["--url", "http://127.0.0.1:1", "--model", "tiny"]) == 1
    assert "Cannot connect" in capsys.readouterr().err
