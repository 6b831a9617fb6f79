"""Which candidates are left when somebody else says which endpoints would do."""

from collections.abc import Callable, Collection, Sequence

from extproc.routing.candidate import Candidate


def narrow(
    candidates: Sequence[Candidate], subset: Sequence[str], knows: Callable[[str], bool]
) -> Sequence[Candidate]:
    """Keep the candidates that `subset` names, by `ip:port`, or by `ip` for all ports of it.

    One that is named in full and that nobody `knows` is taken as a candidate of which nothing is
    known: a data plane may hear of a new pod before we do. One that is known and no candidate is sick
    or leaving, and stays out.
    """
    wanted = set(subset)
    kept = [each for each in candidates if is_named(each.endpoint, wanted)]
    strangers = [each for each in subset if is_complete(each) and not knows(each)]
    return [*kept, *(Candidate(each) for each in dict.fromkeys(strangers))]


def is_named(endpoint: str, wanted: Collection[str]) -> bool:
    if endpoint in wanted:
        return True
    address = endpoint.rpartition(":")[0]
    return address in wanted or address.removeprefix("[").removesuffix("]") in wanted


def is_complete(text: str) -> bool:
    """Whether it is `ip:port`, `[ip]:port` for IPv6."""
    address, _, port = text.rpartition(":")
    return port.isascii() and port.isdecimal() and (":" not in address or address.endswith("]"))
