import pytest

from engines.triton import read_load


def requests(**values):
    return "".join(
        f'nv_trt_llm_request_metrics{{model="{model}",request_type="{kind}",version="1"}} {n}\n'
        for model in ("a", "b")
        for kind, n in values.items()
    ).encode()


@pytest.mark.parametrize(
    ("values", "load"),
    [
        ({"scheduled": 4, "active": 9, "waiting": 3}, (8, 6)),
        ({"scheduled": 4, "active": 9}, (8, 10)),  # older: it does not say how many wait
        ({"scheduled": 4, "active": 3}, (8, 0)),
        ({"max": 512}, (0, 0)),
    ],
)
def test_models_of_one_server_are_added_up(values, load):
    found = read_load(requests(**values))
    assert (found.running, found.waiting) == load
