"""What all parts of a policy are made of."""

import ipaddress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Place = tuple[str | int, ...]
"""A path into the policy: ("keys", 0, "tenant")."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
"""Goes into headers, metrics and file names; slashes occur in model names."""
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """A member nobody knows is an error; what is loaded never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
