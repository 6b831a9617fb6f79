import pytest

from engines.sim.engine import Settings
from engines.sim.measure import Ask, Engine, MeasureError

from .conftest import Start


async def test_chats_and_prompts(start: Start):
    sim = await start(Settings(ttft_ms=20, itl_ms=10))
    url = f"http://127.0.0.1:{sim.port}"
    async with Engine(url, "tiny") as engine:
        told = await engine.chat([{"role": "user", "content": "hello " * 50}], 4, "salt")
        assert (len(told.prompt_ids), len(told.output_ids), told.cached_tokens) == (53, 4, 0)
        again = await engine.chat([{"role": "user", "content": "hello " * 50}], 4, "salt")
        assert again.cached_tokens == 32

        asks = [Ask(ids=(1, 2, 3), output_tokens=5), Ask(ids=(4,), output_tokens=1, at_s=0.05)]
        first, second = await engine.all(asks)
        assert 0.019 < first.ttft_s < 3
        assert first.last_s - first.first_s > 0.03
        assert second.sent_s > first.sent_s + 0.04
        load = await engine.load()
        assert (load.generation_tokens, load.prompt_tokens) == (14, 110)


async def test_refusals_are_told(start: Start):
    sim = await start(Settings())
    async with Engine(f"http://127.0.0.1:{sim.port}/", "nobody") as engine:
        with pytest.raises(MeasureError, match="404"):
            await engine.chat([], 1, "salt")
        with pytest.raises(MeasureError, match="404"):
            await engine.all([Ask(ids=(1,), output_tokens=1)])
