import pytest

from study.plan import OURS, Spec
from study.store import Store, digest, without_words
from tests.study.figures import figures

SPEC = Spec("rag", OURS, 80, 1001)
OTHER = Spec("rag", "chwbl", 80, 1001)


def test_what_was_run_is_kept_as_long_as_the_code_is_the_same(tmp_path):
    path = tmp_path / "new" / "runs.jsonl"
    store = Store(path, lambda picker: picker)
    assert store.read() == {}
    store.add(SPEC, figures(2.0), 1.5)
    store.add(OTHER, figures(3.0), 1.5)
    with path.open("ab") as file:
        file.write(b'{"code": "cut sh')
    again = Store(path, lambda picker: picker).read()
    assert again == store.read()
    assert (again[SPEC].figures.p95_ttft_s, again[SPEC].seconds) == (2.0, 1.5)
    changed = Store(path, lambda picker: "x" if picker == OURS else picker)
    assert set(changed.read()) == {OTHER}


def test_words_and_layout_do_not_count():
    assert without_words('"""Doc."""\nx = 1  # one\ndef f():\n    """Say."""\n    return x\n') == (
        without_words("x=1\ndef f(): return x")
    )
    assert without_words("x = 1") != without_words("x = 2")


@pytest.mark.parametrize("picker", [OURS, "chwbl"])
def test_a_digest_repeats(picker):
    assert digest(picker) == digest(picker)
