"""What every adapter holds, over its recorded or documented metrics, and what each reads in them."""

import math
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import ENGINES
from engines.exposition import MOST_BYTES, MOST_LINES, UnreadableError
from engines.load import NOTHING, Adapters, Load, Total
from engines.sim import metrics as sim

HERE = Path(__file__).parent / "fixtures"
COUNTERS = (
    *("preemptions", "prompt_tokens", "cached_tokens", "generation_tokens"),
    *("prefill_s", "prefill_tokens", "queue_s", "itl_s", "ttft_s"),
)
GARBAGE = [
    b"<html>502 Bad Gateway</html>\n",
    b'{"error": "not found"}\n',
    b"\x00\xff\xfe\n{{{}}}\n",
    b"# HELP nothing else\n",
    b'other_metric{a="b"} 1\n',
]


def sim_text():
    meter = sim.Meter(4096)
    meter.looked_up(100, 64)
    meter.prefilled(100, 64)
    meter.generation_tokens = 7
    meter.ttft_s.observe(0.3)
    config = {"block_size": "32", "num_gpu_blocks": "512"}
    return sim.Exposition(meter, "tiny", config).text(
        sim.Load(running=3, waiting=2, kv_cache_usage=0.25)
    )


def text_of(kind):
    """What an engine of this kind answers to whoever asks for metrics."""
    if kind == "sim":
        return sim_text()
    has_any = ENGINES[kind].metrics_path
    return (HERE / f"{kind}.metrics.txt").read_bytes() if has_any else b"404 page not found\n"


TEXTS = {kind: text_of(kind) for kind in ENGINES}
every_kind = pytest.mark.parametrize("kind", ENGINES)
with_metrics = pytest.mark.parametrize("kind", [k for k, e in ENGINES.items() if e.metrics_path])


def read(kind, text):
    """Read, or fail in the one way that is allowed."""
    try:
        load = ENGINES[kind].read_load(text)
    except UnreadableError:
        return None
    assert is_sane(load)
    return load


def is_sane(load):
    numbers = [load.running, load.waiting, load.kv_usage, load.block_tokens, load.blocks]
    for name in COUNTERS:
        value = getattr(load, name)
        numbers += [value.sum, value.count] if isinstance(value, Total) else [value]
    bounds = [bound for bound, _ in load.ttft_buckets]
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(load), type=Load)
    return (
        all(math.isfinite(number) and number >= 0 for number in numbers)
        and load.kv_usage <= 1
        and bounds == sorted(set(bounds))
        and packed == load
    )


def rewrite(text, change):
    """Change the value of every sample."""
    lines = []
    for line in text.decode().splitlines():
        name, _, value = line.rpartition(" ")
        is_sample = name and not line.startswith("#")
        lines.append(f"{name} {change(value)}\n" if is_sample else f"{line}\n")
    return "".join(lines).encode()


EXPECTED = {
    "vllm": Load(
        running=4, waiting=4, kv_usage=0.01856375183194925,
        adapters=Adapters(1, ("lora-a",), ("lora-a",)), block_tokens=32, blocks=2048,
        started_s=1795173191.32, prompt_tokens=4967, cached_tokens=3520, generation_tokens=1165,
        prefill_s=Total(0.2002653259805811, 16), prefill_tokens=Total(773, 16),
        queue_s=Total(1.714534934009862, 16), itl_s=Total(5.616193445002864, 1145),
        ttft_s=Total(3.2907276153564453, 20),
    ),
    "sim": Load(
        running=3, waiting=2, kv_usage=0.25, block_tokens=32, blocks=512, prompt_tokens=100,
        cached_tokens=64, generation_tokens=7, ttft_s=Total(0.3, 1),
    ),
    "sglang": Load(
        running=17, waiting=3, kv_usage=0.5, adapters=Adapters(8), block_tokens=64, blocks=2560,
        preemptions=7, prompt_tokens=8_128_902, cached_tokens=3_000_000,
        generation_tokens=7_557_572, prefill_s=Total(1100, 11_000),
        prefill_tokens=Total(5_128_902, 11_000), queue_s=Total(4500.5, 11_000),
        itl_s=Total(866964.5791549598, 7_400_757), ttft_s=Total(23518.9, 11_008),
        ttft_buckets=((0.1, 6), (0.4, 140), (1.0, 2326), (10.0, 10_900)),
    ),
    "tgi": Load(
        running=6, waiting=2, prompt_tokens=51_100, generation_tokens=26_368,
        queue_s=Total(8.24, 412), itl_s=Total(10.3, 412),
    ),
    "triton": Load(
        running=9, waiting=5, kv_usage=0.5, block_tokens=64, blocks=6240, prompt_tokens=40_500,
        generation_tokens=8100,
    ),
    "llamacpp": Load(
        running=2, waiting=1, prompt_tokens=14_250, generation_tokens=3600, prefill_s=Total(9.5),
        prefill_tokens=Total(14_250), itl_s=Total(72, 3600),
    ),
    "ollama": NOTHING,
    "openai": NOTHING,
    "anthropic": NOTHING,
}  # fmt: skip


@every_kind
def test_it_reads_what_its_engine_says(kind):
    found = ENGINES[kind].read_load(TEXTS[kind])
    wanted = EXPECTED.get(kind, NOTHING)
    if kind in ("vllm", "sim"):  # 22 buckets, and a start that is now
        assert [n for _, n in found.ttft_buckets] == sorted(n for _, n in found.ttft_buckets)
        assert found.ttft_buckets[0][0] == 0.001
        assert found.ttft_buckets[-1] == (2560.0, found.ttft_s.count)
        wanted = msgspec.structs.replace(
            wanted, ttft_buckets=found.ttft_buckets, started_s=found.started_s
        )
        assert found.started_s > 1.7e9
    assert found == wanted
    assert is_sane(found)


@with_metrics
@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_told_apart_from_an_idle_engine(kind, text):
    with pytest.raises(UnreadableError):
        ENGINES[kind].read_load(text)


@every_kind
def test_an_empty_text_is_an_engine_without_values_or_none_at_all(kind):
    assert read(kind, b"") in (None, NOTHING)


def test_only_engines_that_show_no_metric_before_it_has_a_value_may_be_silent():
    read_empty = {kind for kind in ENGINES if read(kind, b"") == NOTHING}
    assert read_empty == {"sglang", "tgi"} | {k for k, e in ENGINES.items() if not e.metrics_path}


@with_metrics
def test_a_text_that_is_cut_within_a_line_is_never_half_believed(kind):
    text = TEXTS[kind]
    cuts = [n for n in range(1, len(text), 97) if text[n - 1 : n] != b"\n"]
    assert not any(read(kind, text[:cut]) for cut in cuts)


@every_kind
@given(data=st.data())
def test_whatever_comes_is_read_or_unreadable(kind, data):
    text = TEXTS[kind]
    cut = data.draw(st.integers(0, len(text)))
    strange = data.draw(st.binary(max_size=60))
    at = data.draw(st.integers(0, cut))
    read(kind, text[:cut])
    read(kind, text[:at] + strange + text[at:])
    read(kind, text[:at] + strange + text[cut:])


@with_metrics
@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1e300"])
def test_what_is_no_count_is_ignored(kind, value):
    load = read(kind, rewrite(TEXTS[kind], lambda _: value))
    assert load is None or (load.running, load.waiting, load.kv_usage) == (0, 0, 0)
    assert load is None or all(getattr(load, name) in (0, Total()) for name in COUNTERS)


@with_metrics
def test_a_value_that_is_no_number_is_not_passed_over(kind):
    with pytest.raises(UnreadableError):
        ENGINES[kind].read_load(rewrite(TEXTS[kind], lambda _: "many"))


@with_metrics
def test_numbers_may_be_written_in_any_way_and_lines_end_in_any_way(kind):
    text, wanted = TEXTS[kind], ENGINES[kind].read_load(TEXTS[kind])
    assert ENGINES[kind].read_load(rewrite(text, lambda v: f"{float(v):.17e}")) == wanted
    assert ENGINES[kind].read_load(rewrite(text, lambda v: f"{v} 1790000000000")) == wanted
    assert ENGINES[kind].read_load(text.replace(b"\n", b"\r\n")) == wanted


@with_metrics
@given(factor=st.integers(1, 1000))
def test_counters_grow_with_what_is_counted(kind, factor):
    before = ENGINES[kind].read_load(TEXTS[kind])
    after = ENGINES[kind].read_load(rewrite(TEXTS[kind], lambda v: str(float(v) * factor)))
    for name in COUNTERS:
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, Total):
            assert new.sum >= old.sum
            assert new.count >= old.count
        else:
            assert new >= old


@with_metrics
def test_what_an_engine_does_not_tell_keeps_its_default(kind):
    text = TEXTS[kind].decode()
    needed = set()
    for name in {match[1] for match in re.finditer(r"^([a-z_:]+)[{ ]", text, re.MULTILINE)}:
        rest = re.sub(rf"^{name}[{{ ].*\n", "", text, flags=re.MULTILINE)
        if read(kind, rest.encode()) is None:
            needed.add(name)
    assert len(needed) <= 2
    load = ENGINES[kind].read_load(
        "".join(
            f"{line}\n" for line in text.splitlines() if re.split("[{ ]", line)[0] in needed
        ).encode()
    )
    assert msgspec.structs.replace(load, running=0, waiting=0) == NOTHING


@with_metrics
def test_labels_may_hold_anything(kind):
    strange = r'weird="a,b} 7 # {x=\"1\"} \\ \n"'
    text = TEXTS[kind].decode()
    labelled = re.sub(r"^[a-z_:]+\{", lambda m: f"{m[0]}{strange},", text, flags=re.MULTILINE)
    all_labelled = re.sub(
        r"^([a-z_:]+) (?=\S+$)", lambda m: f"{m[1]}{{{strange}}} ", labelled, flags=re.MULTILINE
    )
    assert all_labelled.count(strange) > 5
    assert ENGINES[kind].read_load(all_labelled.encode()) == ENGINES[kind].read_load(TEXTS[kind])


@with_metrics
def test_what_is_huge_is_bounded(kind):
    text = TEXTS[kind]
    with pytest.raises(UnreadableError, match="longer than"):
        ENGINES[kind].read_load(text + b"#" * MOST_BYTES + b"\n")
    with pytest.raises(UnreadableError, match="too many lines"):
        ENGINES[kind].read_load(text + b"\n" * (MOST_LINES + 1))
    line = b"# " + b"x" * (MOST_BYTES - len(text) - 3) + b"\n"
    assert ENGINES[kind].read_load(line + text) == ENGINES[kind].read_load(text)
