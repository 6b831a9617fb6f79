from engines.llamacpp import read_load
from engines.load import Total

IDLE = "llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\n"


def test_times_and_tokens_are_rates_together():
    text = IDLE + "llamacpp:prompt_tokens_total 900\nllamacpp:prompt_seconds_total 0.5\n"
    load = read_load(text.encode())
    assert (load.prefill_s, load.prefill_tokens) == (Total(0.5), Total(900))


def test_older_versions_tell_how_full_the_cache_is():
    assert read_load((IDLE + "llamacpp:kv_cache_usage_ratio 0.5\n").encode()).kv_usage == 0.5
    assert read_load(IDLE.encode()).kv_usage == 0
