from sidecars.names.span import Span


def test_a_span_moves_with_its_piece():
    assert Span("person", 2, 5).moved(10) == Span("person", 12, 15)
