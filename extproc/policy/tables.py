"""What filters look things up in, made from a policy once, when it loads."""

from collections.abc import Mapping

from extproc.keys import KeySource
from extproc.policy.identities import KeyPolicy
from extproc.policy.models import Policy
from extproc.request import Identity, Model


def key_source(policy: Policy) -> KeySource:
    """Key digests -> identities."""
    return KeySource(policy.salt, {key.digest: identity(key) for key in policy.keys})


def identity(key: KeyPolicy) -> Identity:
    return Identity(
        tenant=key.tenant,
        key_id=key.id,
        project=key.project or "",
        user=key.user or "",
        models=frozenset(key.models),
        groups=frozenset(key.groups),
    )


def model_table(policy: Policy) -> Mapping[str, Model]:
    """Public names and aliases -> what serves them."""
    return {
        name: Model(
            model.name, track.pool, track.served_as or model.name, track.track, track.version
        )
        for model in policy.models
        for track in model.in_service()[:1]
        for name in (model.name, *model.aliases)
    }
