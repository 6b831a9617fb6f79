# ruff: noqa: RUF001 - Chinese has marks of its own
import pytest

from sidecars.names.chinese import Chinese
from sidecars.names.span import Span


class Says:
    """Tags as it is told to."""

    def __init__(self, *words):
        self.words = words

    def run(self, texts):
        assert "".join(word for word, _ in self.words) == texts
        return list(self.words)


def test_places_are_counted_over_all_words():
    tagger = Says(
        ("我", "r"),
        ("找", "v"),
        ("王小明", "PER"),
        ("在", "p"),
        ("腾讯公司", "ORG"),
        ("深圳", "LOC"),
    )
    assert Chinese(tagger).find("我找王小明在腾讯公司深圳") == [
        Span("person", 2, 5),
        Span("organization", 6, 10),
    ]


def test_line_ends_are_no_part_of_a_name():
    tagger = Says(("\r\n王小明\n", "PER"), ("　李雷", "PER"), ("去", "v"))
    assert Chinese(tagger).find("\r\n王小明\n　李雷去") == [
        Span("person", 2, 5),
        Span("person", 7, 9),
    ]


def test_latin_words_are_left_to_the_other_model():
    assert Chinese(Says(("Mona", "PER"), ("你好", "v"))).find("Mona你好") == []


@pytest.mark.parametrize(
    ("text", "reads"), [("a王b", True), ("Mona", False), ("\U00020000", True), ("1，2", False)]
)
def test_it_reads_texts_with_a_chinese_character(text, reads):
    assert Chinese(Says()).reads(text) is reads
