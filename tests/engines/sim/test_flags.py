from pathlib import Path

import msgspec
import pytest

from engines.sim.engine import Settings
from engines.sim.flags import Flags, parser, settings_of
from engines.sim.profile import PROFILES, read_profile


def settings(*words: str) -> Settings:
    return settings_of(parser().parse_args(words, namespace=Flags()))


def test_without_flags_it_is_as_quick_as_ever_and_nobody_waits():
    assert settings() == Settings()


def test_a_profile_brings_its_cache_and_flags_change_it():
    profile = PROFILES["7b-l4"]
    told = settings("--profile", "7b-l4")
    assert told.profile == profile
    assert (told.block_size, told.num_blocks) == (profile.block_tokens, profile.blocks)
    assert told.max_model_len == (profile.blocks - 1) * profile.block_tokens
    told = settings(
        *("--profile", "7b-l4", "--num-blocks", "64", "--block-size", "32", "--time-factor", "0.5"),
        *("--max-num-seqs", "4", "--max-num-batched-tokens", "512", "--max-loras", "9"),
        *("--max-model-len", "1000"),
    )
    assert told.profile == msgspec.structs.replace(
        profile.slower(0.5),
        blocks=64,
        block_tokens=32,
        max_seqs=4,
        max_batched_tokens=512,
        lora_slots=9,
    )
    assert (told.block_size, told.num_blocks, told.max_model_len) == (32, 64, 1000)


def test_other_flags():
    told = settings("--lora", "red", "--lora", "blue", "--role", "decode", "--kv-events", "0")
    assert (told.adapters, told.role, told.kv_events) == (("red", "blue"), "decode", True)


def test_flags_that_do_not_fit_together():
    with pytest.raises(ValueError, match="max_seqs"):
        settings("--profile", "7b-l4", "--max-num-batched-tokens", "16")


def test_a_profile_from_a_file(tmp_path: Path):
    path = tmp_path / "mine.json"
    profile = msgspec.structs.replace(PROFILES["cpu-tiny"], name="mine")
    path.write_bytes(msgspec.json.encode(profile))
    assert settings("--profile", str(path)).profile == profile
    for wrong, reason in (("{", "is no profile"), ('{"name":"x"}', "is no profile")):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=reason):
            read_profile(str(path))
    with pytest.raises(ValueError, match="8b-h100"):
        read_profile("9b-h200")


def test_a_wrong_profile_is_a_wrong_flag(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        settings("--profile", "nobody")
    assert "no profile 'nobody'" in capsys.readouterr().err
