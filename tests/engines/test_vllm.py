import re
from pathlib import Path

import pytest

from engines.exposition import UnreadableError
from engines.load import Adapters
from engines.vllm import names, read_load

TEXT = (Path(__file__).parent / "fixtures" / "vllm.metrics.txt").read_bytes()


def test_engines_of_a_data_parallel_server_are_added_up():
    one = read_load(TEXT)
    again = re.sub(rb'^(vllm:\w+\{)(.*?)engine="0"', rb'\1\2engine="1"', TEXT, flags=re.MULTILINE)
    idle = re.sub(rb"(kv_cache_usage_perc\{.*) \S+", rb"\1 0.0", again)
    two = read_load(TEXT + idle)
    assert (two.running, two.waiting) == (2 * one.running, 2 * one.waiting)
    assert two.kv_usage == one.kv_usage / 2
    assert (two.blocks, two.block_tokens) == (2 * one.blocks, one.block_tokens)
    assert two.prompt_tokens == 2 * one.prompt_tokens
    assert two.ttft_s.count == 2 * one.ttft_s.count == two.ttft_buckets[-1][1]
    assert two.adapters == one.adapters
    assert two.started_s == one.started_s


@pytest.mark.parametrize(
    ("series", "adapters"),
    [
        ([], Adapters()),
        ([("4", "a,b", "", 10.0)], Adapters(4, ("a", "b"))),
        ([("4", "a", "", 12.0), ("4", "b", "c", 11.0)], Adapters(4, ("a",))),
        ([("4", "a", "", 11.0), ("4", "", "", 12.0)], Adapters(4)),
        ([("4", r"odd\"},x", "b", 1.79e9)], Adapters(4, ('odd"}', "x"), ("b",))),
    ],
)
def test_the_newest_series_of_adapters_is_the_one_that_holds(series, adapters):
    lines = "".join(
        f'vllm:lora_requests_info{{max_lora="{most}",running_lora_adapters="{running}",'
        f'waiting_lora_adapters="{waiting}"}} {at_s}\n'
        for most, running, waiting, at_s in series
    )
    idle = "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n"
    assert read_load((idle + lines).encode()).adapters == adapters


@pytest.mark.parametrize(
    ("listed", "kept"),
    [
        (",".join(["a" * 9] * 500), 4096 // 10),
        (",".join(["a" * 7] * 512), 512),
        ("a" * 4096, 1),
        ("a" * 4097, 0),
    ],
)
def test_of_a_long_list_of_adapters_whole_names_are_kept(listed, kept):
    found = names(listed)
    assert found == tuple(listed.split(",")[:kept])


def test_a_server_without_statistics_says_what_is_missing():
    with pytest.raises(UnreadableError, match="it has no vllm:num_requests_running"):
        read_load(b"process_start_time_seconds 1.79e9\n")


def test_blocks_that_are_not_known_yet():
    text = re.sub(rb'num_gpu_blocks="\d+"', b'num_gpu_blocks="None"', TEXT)
    assert read_load(text).blocks == 0
