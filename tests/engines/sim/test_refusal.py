import pytest

from engines.sim.refusal import RefusedError


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (RefusedError.malformed("no", "body.n"), (400, "Bad Request", "body.n")),
        (RefusedError.invalid("no", "n"), (400, "BadRequestError", "n")),
        (RefusedError.unknown_model("x", ("tiny",)), (404, "NotFoundError", "model")),
        (RefusedError.failed(500), (500, "InternalServerError", None)),
        (RefusedError.failed(503), (503, "ServiceUnavailableError", None)),
    ],
)
def test_status_kind_and_field(refused: RefusedError, told: tuple[int, str, str | None]):
    assert (refused.status, refused.kind, refused.param) == told


def test_an_unknown_model_is_told_which_ones_are_served():
    refused = RefusedError.unknown_model("gpt", ("tiny", "alias"))
    assert refused.message == "The model `gpt` does not exist. Valid aliases: tiny, alias."
