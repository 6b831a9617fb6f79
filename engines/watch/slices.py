"""EndpointSlices of one Kubernetes Service, as its API tells of them. Pure.

Source: Kubernetes API reference, discovery.k8s.io/v1; conditions as in "EndpointSlices: Conditions".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from engines.watch.dns import write
from engines.watch.messages import State
from engines.watch.roster import Found


class Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    resourceVersion: str = ""  # noqa: N815 - the API's own


class Conditions(msgspec.Struct, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Target(msgspec.Struct, frozen=True):
    """The pod."""

    uid: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: Conditions = Conditions()
    targetRef: Target | None = None  # noqa: N815 - the API's own


class Port(msgspec.Struct, frozen=True):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class Slice(msgspec.Struct, frozen=True):
    """One of several that name a Service's endpoints."""

    metadata: Metadata = Metadata()
    addressType: str = ""  # noqa: N815 - the API's own
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[Port, ...] | None = None


class Slices(msgspec.Struct, frozen=True):
    """A list of all of them."""

    metadata: Metadata = Metadata()
    items: tuple[Slice, ...] | None = None


class Status(msgspec.Struct, frozen=True):
    """What comes instead of a slice when a watch fails, too."""

    metadata: Metadata = Metadata()
    code: int = 0
    message: str = ""


class Change(msgspec.Struct, frozen=True):
    """One line of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


LIST = msgspec.json.Decoder(Slices)
CHANGE = msgspec.json.Decoder(Change)
SLICE = msgspec.json.Decoder(Slice)
STATUS = msgspec.json.Decoder(Status)


class GoneError(Exception):
    """The API does not remember as far back as we have got: list again."""


class Known:
    """The slices of one Service, kept up to date."""

    def __init__(self, port: int | str | None = None) -> None:
        self._port = port
        self._slices: dict[str, Slice] = {}
        self.version = ""
        """Where a watch may go on from."""

    def list(self, raw: bytes) -> None:
        """Begin with a whole list. Raises: msgspec.MsgspecError."""
        found = LIST.decode(raw)
        self._slices = {each.metadata.name: each for each in found.items or ()}
        self.version = found.metadata.resourceVersion

    def change(self, line: bytes) -> bool:
        """Follow one line of a watch; whether endpoints may have changed.

        Raises:
            GoneError, msgspec.MsgspecError: It cannot be followed.
        """
        change = CHANGE.decode(line)
        if change.type in ("ERROR", "BOOKMARK"):
            status = STATUS.decode(change.object)
            if change.type == "ERROR":
                raise GoneError(f"{status.code} {status.message}"[:200])
            self.version = status.metadata.resourceVersion
            return False
        each = SLICE.decode(change.object)
        self.version = each.metadata.resourceVersion
        if change.type == "DELETED":
            self._slices.pop(each.metadata.name, None)
        else:
            self._slices[each.metadata.name] = each
        return True

    def found(self) -> Found:
        """Name the endpoints. In several slices at once, as while one moves from one to another, it is
        ready if any of them says so. A pod that has addresses of both families is one engine: by IPv4,
        which engines listen on unless they are told otherwise."""
        found: dict[str, State] = {}
        ipv4 = {pod for each in self._slices.values() for pod in pods_of(each, "IPv4")}
        for each in self._slices.values():
            port = find_port(each.ports or (), self._port)
            if port is None or each.addressType == "FQDN":
                continue
            twins = ipv4.intersection(pods_of(each, "IPv6"))
            for endpoint in each.endpoints or ():
                if endpoint.targetRef in twins:
                    continue
                state = judge(endpoint.conditions)
                for address in endpoint.addresses[:1]:  # the API: consumers use the first
                    named = write(address, port)
                    if state is not None and found.get(named) != "ready":
                        found[named] = state
        return found


def pods_of(piece: Slice, family: str) -> Iterable[Target]:
    """Name the pods of a slice of that family, as far as it says whose the addresses are."""
    if piece.addressType == family:
        for each in piece.endpoints or ():
            if each.targetRef is not None and each.targetRef.uid:
                yield each.targetRef


def judge(conditions: Conditions) -> State | None:
    """A terminating pod still serves what it has; one that is not ready yet is no endpoint. What is
    not said counts as ready (the API: "consumers should interpret this unknown state as ready")."""
    if conditions.terminating:
        return "draining" if conditions.serving is not False else None
    return "ready" if conditions.ready is not False else None


def find_port(ports: Sequence[Port], wanted: int | str | None) -> int | None:
    """By number, by name, or the only one."""
    usable = [each for each in ports if each.port and (each.protocol or "TCP") == "TCP"]
    if wanted is None:
        return usable[0].port if len(usable) == 1 else None
    by: Mapping[int | str | None, int | None] = {
        **{each.name: each.port for each in usable if each.name},
        **{each.port: each.port for each in usable},
    }
    return by.get(wanted)
