from engines.load import NOTHING, Total
from engines.sglang import read_load


def series(name, value, **labels):
    inner = ",".join(f'{label}="{said}"' for label, said in labels.items())
    return f"sglang:{name}{{{inner}}} {value}\n"


def test_gpus_of_one_replica_are_one_and_replicas_are_added_up():
    text = "".join(
        series("num_running_reqs", running, tp_rank=tp, dp_rank=dp)
        for tp, dp, running in ((0, 0, 5), (1, 0, 5), (2, 1, 2), (3, 1, 2))
    )
    assert read_load(text.encode()).running == 7
    alone = series("num_running_reqs", 4, tp_rank=0) + series("num_running_reqs", 4, tp_rank=1)
    assert read_load(alone.encode()).running == 4


def test_prefill_is_one_stage_of_many():
    text = "".join(
        series(f"per_stage_req_latency_seconds_{part}", value, stage=stage)
        for stage, total, count in (("prefill_forward", 2.5, 10), ("request_process", 70, 11))
        for part, value in (("sum", total), ("count", count))
    )
    text += series("realtime_tokens_total", 5000, mode="prefill_compute")
    text += series("realtime_tokens_total", 9000, mode="decode")
    load = read_load(text.encode())
    assert (load.prefill_s, load.prefill_tokens) == (Total(2.5, 10), Total(5000, 10))


def test_blocks_are_pages():
    pages = series("cache_config_info", 1, page_size=16, num_pages=100)
    load = read_load((pages + series("max_total_num_tokens", 1600, tp_rank=0)).encode())
    assert (load.block_tokens, load.blocks) == (16, 100)


def test_a_server_that_has_not_served_yet_says_nothing():
    assert read_load(b"") == NOTHING
