"""What is wrong with a policy: where it stands, and in whose words it is told."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from extproc.errors import PolicyError
from extproc.policy.base import Place


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of a file."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """One mistake. `str` of it is what people see: `file:line: member: message`."""

    message: str
    spot: Spot | None = None
    member: str = ""
    """A path into the whole policy, files joined: `keys[0].tenant`."""

    def __str__(self) -> str:
        where = f"{self.spot.file}:{self.spot.line}" if self.spot else ""
        return ": ".join(part for part in (where, self.member, self.message) if part)

    def order(self) -> tuple[str, int]:
        return (self.spot.file, self.spot.line) if self.spot else ("", 0)

    def document(self) -> dict[str, object]:
        """For programs."""
        return {
            "file": self.spot.file if self.spot else None,
            "line": self.spot.line if self.spot else None,
            "member": self.member,
            "message": self.message,
        }


class FlawedPolicyError(PolicyError):
    """Every mistake found."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        self.flaws = tuple(sorted(flaws, key=Flaw.order))
        super().__init__("\n".join(str(flaw) for flaw in self.flaws))


def flaws_of(error: PolicyError) -> Sequence[Flaw]:
    """Take the mistakes apart; what was told as text only is one without a place."""
    return error.flaws if isinstance(error, FlawedPolicyError) else (Flaw(str(error)),)


Spots = Mapping[Place, Spot]


def place_flaw(place: Place, message: str, spots: Spots) -> Flaw:
    """Say where: the nearest part of the policy that stands in a file."""
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).removeprefix(".")
    return Flaw(message, spots.get(nearest(place, spots)), path)


def nearest(place: Place, spots: Spots) -> Place:
    """Find the longest part of a place that stands in a file."""
    while place and place not in spots:
        place = place[:-1]
    return place


def explain_all(
    errors: Iterable[ErrorDetails], root: type[BaseModel], spots: Spots
) -> Mapping[Place, str]:
    """Tell what pydantic found. Alternatives that all failed at one place are one mistake."""
    found: dict[Place, list[str]] = {}
    given = list(errors)
    above = {error["loc"][:length] for error in given for length in range(len(error["loc"]))}
    for error in given:
        if error["type"] == "too_short" and error["loc"] in above:
            continue  # what it has is wrong already
        place = error["loc"]
        if error["type"] != "missing":
            # pydantic adds to a place which alternative of a union it tried (`constrained-str`).
            place = nearest(place, spots) or place
        said = found.setdefault(place, [])
        if (message := explain(error, place, root)) not in said:
            said.append(message)
    return {place: ", or ".join(said) for place, said in found.items()}


WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "string_type": "text belongs here; in quotes, if it looks like a number, a date or yes and no",
    "tuple_type": "a list belongs here",
    "list_type": "a list belongs here",
    "dict_type": "a mapping belongs here",
    "model_type": "a mapping belongs here",
    "model_attributes_type": "a mapping belongs here",
    "bool_type": "true or false belongs here",
    "bool_parsing": "true or false belongs here",
    "int_type": "a whole number belongs here",
    "int_parsing": "a whole number belongs here",
    "int_from_float": "a whole number belongs here",
    "float_type": "a number belongs here",
    "float_parsing": "a number belongs here",
    "decimal_type": "a number belongs here",
    "decimal_parsing": "a number belongs here",
    "decimal_max_digits": "may have {max_digits} digits at most",
    "decimal_max_places": "may have {decimal_places} decimal places at most",
    "decimal_whole_digits": "may have {whole_digits} digits before the point at most",
    "finite_number": "a finite number belongs here",
    "timezone_aware": "give the time zone, as in 2026-01-31T00:00:00Z",
    "datetime_type": "a time belongs here, as in 2026-01-31T00:00:00Z",
    "datetime_parsing": "a time belongs here, as in 2026-01-31T00:00:00Z",
    "datetime_from_date_parsing": "a time belongs here, as in 2026-01-31T00:00:00Z",
    "ip_v4_network": "a network without host bits belongs here, as in 10.0.0.0/8",
    "ip_v6_network": "a network without host bits belongs here, as in 10.0.0.0/8",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "too_short": "needs {min_length} or more",
    "string_too_short": "needs {min_length} or more characters",
    "string_too_long": "may have {max_length} characters at most",
    "value_error": "{error}",
}
"""Messages of our own, for readers who do not know pydantic. None repeats what was written there: it may be a
secret in the wrong place."""


def explain(error: ErrorDetails, place: Place, root: type[BaseModel]) -> str:
    """Say it plainly; pydantic's own message for what is rare."""
    if error["type"] == "extra_forbidden":
        return f"there is no such member{suggest(place, root)}"
    words = WORDS.get(error["type"])
    return words.format(**error.get("ctx", {})) if words else error["msg"]


def suggest(place: Place, root: type[BaseModel]) -> str:
    """Name what may have been meant."""
    near = difflib.get_close_matches(str(place[-1]), members_beside(place, root), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def members_beside(place: Place, root: type[BaseModel]) -> Sequence[str]:
    """List the members that may stand beside the last part of a place."""
    models = [root]
    for part in place[:-1]:
        if isinstance(part, str):
            annotations = [
                m.model_fields[part].annotation for m in models if part in m.model_fields
            ]
            models = [inner for each in annotations for inner in models_in(each)]
    return [name for model in models for name in model.model_fields]


def models_in(annotation: object) -> Sequence[type[BaseModel]]:
    """Find the models that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for each in get_args(annotation) for inner in models_in(each)]
