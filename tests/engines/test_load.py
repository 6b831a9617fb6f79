import msgspec

from engines.load import NOTHING, Adapters, Load, Total


def test_it_goes_there_and_back_between_processes():
    load = Load(
        running=3, waiting=1, kv_usage=0.5, adapters=Adapters(4, ("a",), ("b", "c")),
        prefill_s=Total(1.5, 3), ttft_buckets=((0.1, 1), (1.0, 3)),
    )  # fmt: skip
    for each in (load, NOTHING):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(each), type=Load) == each


def test_what_is_not_told_is_told_apart_from_what_is():
    assert Load() == NOTHING
    assert (NOTHING.block_tokens, NOTHING.started_s, NOTHING.ttft_buckets) == (0, 0.0, ())
