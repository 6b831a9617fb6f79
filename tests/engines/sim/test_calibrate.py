import json
from pathlib import Path

import msgspec
import pytest

from engines.sim import calibrate
from engines.sim.calibrate import Point, decode_row, prefill_row, profile_of, report
from engines.sim.engine import Settings
from engines.sim.fit import predict
from engines.sim.measure import Engine
from engines.sim.profile import PROFILES, Profile, read_profile

from .conftest import Start

TRUE = msgspec.structs.replace(
    PROFILES["cpu-tiny"],
    step_s=0.002,
    token_s=1e-5,
    sequence_s=3e-5,
    context_s=1e-8,
    pair_s=2e-9,
)
ROWS = [
    *(prefill_row(tokens, 2048) for tokens in calibrate.PREFILL_TOKENS),
    *(decode_row(streams, tokens + 24) for streams, tokens in calibrate.DECODES),
]


def physics(profile: Profile) -> tuple[float, ...]:
    return (
        profile.step_s,
        profile.token_s,
        profile.sequence_s,
        profile.context_s,
        profile.pair_s,
    )


def test_the_physics_that_made_the_points_is_found_again():
    points = [Point("point", row, predict(row, physics(TRUE))) for row in ROWS]
    found = profile_of(points, msgspec.structs.replace(PROFILES["8b-h100"], name="mine"))
    assert physics(found) == pytest.approx(physics(TRUE), rel=0.02)
    assert (found.name, found.weights_s) == ("mine", 0.0)
    assert report(points, found).endswith("mean relative error 0%")


async def test_an_engine_is_measured(start: Start):
    """The built-in engine with known physics, slow enough to be seen through a busy machine."""
    slow = msgspec.structs.replace(
        TRUE, step_s=0.02, token_s=0.0, sequence_s=0.0, context_s=0.0, pair_s=0.0, startup_s=0.0
    )
    sim = await start(Settings(profile=slow, block_size=32, num_blocks=slow.blocks))
    async with Engine(f"http://127.0.0.1:{sim.port}", "tiny") as engine:
        asks = [calibrate.ask_of(calibrate.random.Random(1), 40, 4) for _ in range(2)]
        assert await calibrate.mean_of(engine, asks, "itl_s") == pytest.approx(0.02)
        assert await calibrate.mean_of(engine, asks[:1], "prefill_s") == pytest.approx(0.02)


def test_who_does_not_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    words = ["--url", "http://127.0.0.1:1", "--model", "tiny", "-o", str(tmp_path / "p.json")]
    assert calibrate.main(words) == 1
    assert "Cannot connect" in capsys.readouterr().err


def test_what_is_written_can_be_read(tmp_path: Path):
    path = tmp_path / "p.json"
    calibrate.write(TRUE, path)
    assert read_profile(str(path)) == TRUE
    assert json.loads(path.read_text())["name"] == "cpu-tiny"
