"""`headgate keys`: make an API key and the policy entry that knows it by its digest."""

from dataclasses import dataclass

import yaml

from extproc.keys import digest, mint


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that nobody has seen yet, and its entry for the policy."""

    key: str
    entry: str


def new_key(salt: str, name: str, tenant: str, project: str | None) -> NewKey:
    """Make a key. It is nowhere kept: who loses it gets a new one."""
    key = mint()
    entry = {"id": name, "digest": digest(salt, key), "tenant": tenant}
    if project:
        entry["project"] = project
    return NewKey(key, yaml.safe_dump({"keys": [entry]}, sort_keys=False))
