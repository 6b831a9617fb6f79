import json
import math
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from engines.localvllm import model


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return model.model_files()


def bf16(raw: bytes) -> list[float]:
    return [struct.unpack("<f", b"\x00\x00" + raw[i : i + 2])[0] for i in range(0, len(raw), 2)]


def test_random_weights_have_the_spread_of_a_fresh_llama():
    weights = bf16(model.random_bf16(4000, random.Random(1)))
    assert all(2**-7 <= abs(weight) < 2**-5 for weight in weights)
    assert abs(sum(weights) / 4000) < 0.002
    assert math.isclose(math.sqrt(sum(w * w for w in weights) / 4000), 0.018, rel_tol=0.1)


def test_norm_weights_are_one():
    assert bf16(model.ones_bf16(3)) == [1.0, 1.0, 1.0]


def test_the_weights_file_holds_what_its_header_says(files: dict[str, bytes]):
    raw = files["model.safetensors"]
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0
    assert header.pop("__metadata__") == {"format": "pt"}
    end = 0
    for entry in header.values():
        start, stop = entry["data_offsets"]
        assert start == end
        assert stop - start == 2 * math.prod(entry["shape"])
        end = stop
    assert len(raw) == 8 + length + end


def test_config_tokenizer_and_weights_agree(files: dict[str, bytes]):
    config = json.loads(files["config.json"])
    vocabulary = json.loads(files["tokenizer.json"])["model"]["vocab"]
    shapes = model.tensor_shapes(config["vocab_size"])
    assert config["vocab_size"] == len(vocabulary) > 1500
    assert shapes["lm_head.weight"] == (len(vocabulary), config["hidden_size"])
    assert sum("q_proj" in name for name in shapes) == config["num_hidden_layers"]
    end_token = json.loads(files["tokenizer_config.json"])["eos_token"]
    assert vocabulary[end_token] == config["eos_token_id"]


def test_the_model_is_the_same_each_time(files: dict[str, bytes]):
    assert model.model_files() == files


@pytest.mark.long
def test_a_damaged_file_is_repaired_and_a_right_one_left_alone(tmp_path: Path):
    directory = tmp_path / "deep" / "model"
    model.write_model(directory)
    config, weights = directory / "config.json", directory / "model.safetensors"
    right, written_ns = config.read_bytes(), weights.stat().st_mtime_ns
    config.write_bytes(right[:100])
    model.write_model(directory)
    assert config.read_bytes() == right
    assert weights.stat().st_mtime_ns == written_ns


def test_the_command_says_where_it_cannot_write(tmp_path: Path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "engines.localvllm.model", str(tmp_path / "file" / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write the model to {tmp_path}")
