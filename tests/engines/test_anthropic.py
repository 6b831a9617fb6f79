import re

from engines.anthropic import VERSION, read_load
from engines.base import ENGINES
from engines.load import NOTHING


def test_nothing_is_known_of_its_load():
    assert read_load(b"vllm:num_requests_running 3\n") is NOTHING


def test_it_speaks_one_dialect_in_a_dated_version():
    assert ENGINES["anthropic"].operations == {"messages", "count_tokens"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", VERSION)
