from engines.load import NOTHING
from engines.ollama import OLLAMA


def test_it_is_asked_for_nothing_but_its_health():
    assert OLLAMA.metrics_path == ""
    assert OLLAMA.read_load(b"404 page not found\n") is NOTHING
    assert "count_tokens" not in OLLAMA.operations
