"""What is kept says little of itself."""

from extproc.cache.base import Entry, place_of


def test_an_entry_shows_its_size_only():
    entry = Entry(b"secret", 1, 2)
    assert entry.size == 6
    assert "secret" not in repr(entry)


def test_a_place_is_what_a_key_begins_with():
    assert place_of("tenant:model:digest") == "tenant:model"
