"""A classifier of attacks that runs as a service: `docs/firewall.md` says what it is asked."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from extproc.dialects.textual import Speaker
from extproc.policy.base import Name, Secret, Strict, Url, Word
from extproc.safety.injection.classifier import Windows

Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ClassifierPolicy(Strict):
    """It is asked within `timeout_ms`; after three faults in a row it is left alone for two seconds."""

    name: Word = "classifier"  # metrics and the audit log are told
    kind: Literal["predict", "classify", "guard_chat"]
    url: Url  # the whole of it: `.../predict`, `.../classify`, `.../v1/chat/completions`
    model: Name | None = None  # its name there; guard_chat needs one
    token: Secret | None = None  # sent as a bearer token
    harmless: Annotated[tuple[Label, ...], Field(min_length=1)] = (
        "benign", "safe", "legit", "label_0",
    )  # labels that speak for a text, in any case  # fmt: skip
    speakers: Annotated[tuple[Speaker, ...], Field(min_length=1)] = ("user", "tool", "other")
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9  # a text is an attack from it on
    window_bytes: Annotated[int, Field(ge=200, le=100_000)] = (
        1500  # what is judged at once, in UTF-8
    )
    most_windows: Annotated[int, Field(ge=1, le=1024)] = 64  # of a request; more: see on_excess
    timeout_ms: Annotated[int, Field(ge=1, le=4000)] = 800
    on_fault: Literal["deny", "continue"] = "deny"  # when it does not judge
    on_excess: Literal["deny", "continue"] = "deny"  # when there is more text than it may be asked

    @model_validator(mode="after")
    def check_model(self) -> Self:
        if self.kind == "guard_chat" and self.model is None:
            raise ValueError("guard_chat needs a model")
        return self

    def windows(self) -> Windows:
        return Windows(frozenset(self.speakers), self.window_bytes, self.most_windows)
