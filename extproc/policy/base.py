"""What all parts of a policy are made of."""

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    HttpUrl,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from extproc.errors import PolicyError

Place = tuple[str | int, ...]
"""A path into the policy: ("keys", 0, "tenant")."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
"""Goes into headers, metrics and file names; slashes occur in model names."""
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Environment = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def check_endpoint(text: str) -> str:
    """Accept `ip:port` or `[ipv6]:port` in canonical form.

    Envoy finds a named endpoint by its text, so a host name, a leading zero or an address written
    another way would never be picked.
    """
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError:
        raise ValueError(f"{text!r} is not ip:port") from None
    right = f"[{address}]:{number}" if address.version == 6 else f"{address}:{number}"
    if not 0 < number < 65536 or "%" in text:
        raise ValueError(f"{text!r} is not ip:port")
    if text != right:
        raise ValueError(f"{text!r}: write it as {right}")
    return text


Endpoint = Annotated[str, AfterValidator(check_endpoint)]


def check_bare(url: HttpUrl) -> HttpUrl:
    """Refuse `https://user:password@host`."""
    if url.username is not None or url.password is not None:
        raise ValueError("a secret never stands in a policy: leave user and password out")
    return url


Url = Annotated[HttpUrl, AfterValidator(check_bare)]


def check_full(path: Path) -> Path:
    """Refuse a relative path: workers and `headgate policy check` run in different directories."""
    if not path.is_absolute():
        raise ValueError(f"{str(path)!r}: write the whole path, from the root")
    return path


FullPath = Annotated[Path, AfterValidator(check_full)]


class Strict(BaseModel):
    """A member nobody knows is an error; what is loaded never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Secret(Strict):
    """Where a secret is found; it never stands in a policy. Exactly one of the three."""

    env: Environment | None = None  # an environment variable of the workers
    file: FullPath | None = None  # its content, less the line end
    kubernetes: (
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")] | None
    ) = None  # SECRET/KEY, mounted under /var/run/secrets/headgate/
    _value: str = PrivateAttr("")

    def found(self, value: str) -> None:
        """Keep what was found there. `secrets.py` calls it once, while the policy loads."""
        self._value = value

    def reveal(self) -> str:
        """Return the secret. It stands in no dump, hash or repr of the policy.

        Raises:
            PolicyError: The policy was loaded without its secrets, to be looked at only.
        """
        if not self._value:
            raise PolicyError("the policy was loaded without its secrets")
        return self._value

    @model_validator(mode="before")
    @classmethod
    def check_reference(cls, given: object) -> object:
        if isinstance(given, str):
            raise ValueError(  # noqa: TRY004 - pydantic collects ValueErrors only
                "a secret never stands in a policy: say where it is, with env, file or kubernetes"
            )
        return given

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if sum(each is not None for each in (self.env, self.file, self.kubernetes)) != 1:
            raise ValueError("give exactly one of env, file and kubernetes")
        return self
