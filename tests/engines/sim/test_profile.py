import msgspec
import pytest

from engines.sim.profile import MIXED, PROFILES, Profile

GOOD = PROFILES["8b-h100"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_known_by_its_name_and_survives_a_file(name: str):
    profile = PROFILES[name]
    assert profile.name == name
    assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile


# Between two tokens of one sequence, and prompt tokens per second in large pieces: what has been
# published for these, within a factor of two; docs/simulator.md names the sources.
@pytest.mark.parametrize(
    ("name", "itl_ms", "prefill_tokens_per_s"),
    [
        ("7b-l4", (50, 75), (2_500, 5_500)),
        ("8b-a100", (9, 16), (7_000, 14_000)),
        ("8b-h100", (6, 12), (18_000, 32_000)),
        ("70b-h100-tp8", (9, 22), (15_000, 30_000)),
    ],
)
def test_the_physics_is_within_what_was_published(
    name: str, itl_ms: tuple[float, float], prefill_tokens_per_s: tuple[float, float]
):
    it = PROFILES[name]
    alone_ms = 1000 * (it.step_s + it.weights_s + it.sequence_s)
    chunk = it.max_batched_tokens
    rate = chunk / (it.step_s + chunk * it.token_s + it.pair_s * chunk * chunk / 2)
    assert itl_ms[0] < alone_ms < itl_ms[1]
    assert prefill_tokens_per_s[0] < rate < prefill_tokens_per_s[1]


def test_the_mixed_set_is_one_model():
    assert {name.split("-")[0] for name in MIXED} == {"8b"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_seqs": 0},
        {"max_seqs": 9000},
        {"blocks": 1},
        {"block_tokens": 0},
        {"step_s": 0.0, "weights_s": 0.0, "token_s": 0.0},
    ],
)
def test_what_cannot_be(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="must"):
        msgspec.structs.replace(GOOD, **wrong)
