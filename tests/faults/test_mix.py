from collections import Counter

from faults.mix import BY_NAME, KEYS, NOBODYS_KEY, SHAPES, Mix


def draw(name, count):
    mix = Mix(name)
    return [mix.next() for _ in range(count)]


def test_the_same_name_asks_the_same():
    assert draw("a", 50) == draw("a", 50)
    assert [a.shape for a in draw("a", 50)] != [b.shape for b in draw("b", 50)]


def test_everything_is_asked_and_every_id_once():
    asked = draw("a", 2000)
    assert {ask.shape.name for ask in asked} == {shape.name for shape in SHAPES}
    assert len({ask.request_id for ask in asked}) == 2000
    tenants = Counter(ask.tenant for ask in asked)
    assert tenants.keys() == {*KEYS, None}
    assert min(tenants["acme"], tenants["globex"]) > 800


def test_keys():
    for ask in draw("a", 200):
        key = ask.headers["authorization"].removeprefix("Bearer ")
        assert key == (KEYS[ask.tenant] if ask.tenant else NOBODYS_KEY)
        assert (ask.tenant is None) == (ask.shape.name == "bad key")


def test_what_a_shape_may_cost():
    shape = BY_NAME["chat stream, three answers"]
    assert (shape.n, shape.completion_tokens_max, shape.streams) == (3, 24, True)
    assert (BY_NAME["embeddings"].n, BY_NAME["embeddings"].completion_tokens_max) == (1, 0)
