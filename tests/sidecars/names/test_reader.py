from hypothesis import given
from hypothesis import strategies as st

from sidecars.names.reader import LONGEST, PIECE, Reader, split
from sidecars.names.span import Span
from tests.sidecars.names.listed import Listed


def test_what_was_read_is_not_read_again():
    model = Listed(Mona="person")
    reader = Reader([model])
    assert reader.find("Ask Mona") == reader.find("Ask Mona") == (Span("person", 4, 8),)
    assert model.read == ["Ask Mona"]


def test_the_piece_that_was_not_seen_for_longest_is_forgotten():
    model = Listed()
    reader = Reader([model], most=2)
    for piece in ("a", "b", "a", "c", "a", "b"):
        reader.find(piece)
    assert model.read == ["a", "b", "c", "b"]


def test_all_models_are_asked_and_their_names_come_in_order():
    reader = Reader([Listed(Mona="person"), Listed(Acme="organization")])
    assert reader.find("Acme and Mona") == (Span("organization", 0, 4), Span("person", 9, 13))


def test_a_model_is_not_asked_about_what_it_cannot_read():
    model = Listed()
    assert Reader([model]).find("  ") == ()
    assert model.read == []


def test_an_empty_name_is_none():
    assert Reader([Listed(**{"": "person"})]).find("ab") == ()


def test_texts_are_cut_behind_sentences_and_not_too_often():
    text = "It is so. " * 200
    pieces = [piece for _, piece in split(text)]
    assert all(piece.endswith("It is so.") for piece in pieces[:-1])
    assert all(PIECE <= len(piece) < PIECE + 20 for piece in pieces[:-1])


@given(st.text(alphabet="ab .\n\u3002", max_size=5_000))
def test_pieces_make_up_the_text(text):
    pieces = list(split(text))
    assert "".join(piece for _, piece in pieces) == text
    at = 0
    for start, piece in pieces:
        assert start == at
        assert 0 < len(piece) <= LONGEST
        at += len(piece)
