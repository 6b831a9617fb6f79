from engines.base import ENGINES
from engines.load import NOTHING
from engines.openai import read_load


def test_nothing_is_known_of_its_load():
    assert read_load(b"vllm:num_requests_running 3\n") is NOTHING


def test_it_is_shown_none_of_vllms_extensions():
    openai = ENGINES["openai"]
    assert not openai.continuous_usage
    assert not openai.salted
    assert openai.operations == {"chat", "completions", "embeddings", "responses"}
