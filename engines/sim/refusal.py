"""Why a request is not served: vLLM's error body, and the status that goes with it."""

from typing import Self

from engines.sim.outage import DEAD

MALFORMED = "Bad Request"
"""The type of errors about the form of a body."""


class RefusedError(Exception):
    """The request is at fault. vLLM's `code` member repeats the status; `param` names the field."""

    def __init__(self, message: str, *, status: int, kind: str, param: str | None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param

    @classmethod
    def malformed(cls, message: str, param: str) -> Self:
        """The body does not have the form that the operation asks for."""
        return cls(f"1 validation error:\n  {message}", status=400, kind=MALFORMED, param=param)

    @classmethod
    def invalid(cls, message: str, param: str | None = None) -> Self:
        """The form is right and a value is not."""
        return cls(message, status=400, kind="BadRequestError", param=param)

    @classmethod
    def unknown_model(cls, model: str, served: tuple[str, ...]) -> Self:
        message = f"The model `{model}` does not exist. Valid aliases: {', '.join(served)}."
        return cls(message, status=404, kind="NotFoundError", param="model")

    @classmethod
    def failed(cls, status: int) -> Self:
        """A failure that was asked for; only faults raise it, so bad input never meets it."""
        kind = "ServiceUnavailableError" if status == 503 else "InternalServerError"
        return cls("The engine fails because it was told to.", status=status, kind=kind, param=None)

    @classmethod
    def dead(cls) -> Self:
        """The engine has died, and the server has not; vLLM says so in these words."""
        return cls(DEAD, status=500, kind="InternalServerError", param=None)
