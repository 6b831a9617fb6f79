# ruff: noqa: RUF001 - Chinese has marks of its own
from dataclasses import dataclass

import pytest

from sidecars.names.english import English
from sidecars.names.span import Span


@dataclass
class Entity:
    label_: str
    start_char: int
    end_char: int


@dataclass
class Read:
    ents: list[Entity]


class Says:
    """Finds what it is told to, and keeps what it was given."""

    def __init__(self, *found):
        self.found = found
        self.given = []

    def __call__(self, text):
        self.given.append(text)
        return Read(
            [
                Entity(label, text.index(name), text.index(name) + len(name))
                for label, name in self.found
            ]
        )


@pytest.mark.parametrize(
    ("label", "said", "name", "type_"),
    [
        ("PERSON", "Mona Lee", "Mona Lee", "person"),
        ("ORG", "Acme Inc.", "Acme Inc.", "organization"),
        ("PERSON", "Mona Lee's", "Mona Lee", "person"),
        ("PERSON", "Mona Lee\u2019s", "Mona Lee", "person"),
        ("PERSON", '"Mona Lee"', "Mona Lee", "person"),
        ("ORG", "(Acme),", "Acme", "organization"),
    ],
)
def test_a_name_is_told_without_what_stands_around_it(label, said, name, type_):
    text = f"Ask {said} today"
    start = text.index(name)
    assert English(Says((label, said))).find(text) == [Span(type_, start, start + len(name))]


@pytest.mark.parametrize(
    ("label", "said"), [("GPE", "Lisbon"), ("DATE", "Monday"), ("ORG", "42 %"), ("PERSON", "'s")]
)
def test_what_is_no_name_of_a_person_or_organisation_is_left_out(label, said):
    assert English(Says((label, said))).find(f"In {said} it rains") == []


def test_places_stay_beside_chinese_which_the_model_never_sees():
    model = Says(("PERSON", "Mona"))
    assert English(model).find("我是Mona，你好") == [Span("person", 2, 6)]
    assert model.given == ["  Mona   "]


@pytest.mark.parametrize(
    ("text", "reads"), [("Zoé", True), ("王小明", False), ("1 + 2", False), ("A", False)]
)
def test_it_reads_texts_with_a_latin_word(text, reads):
    assert English(Says()).reads(text) is reads
