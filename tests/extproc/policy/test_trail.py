from audit.memory import MemoryAudit
from extproc.policy.models import Policy
from extproc.policy.trail import MOST_CHARS, PolicyTrail

POOL = {"name": "p", "endpoints": ["10.0.0.1:1"]}
MODEL = {"name": "m", "pool": "p"}


def policy(version, **sections):
    whole = {"tenants": [{"name": "acme"}], "pools": [POOL], "models": [MODEL]}
    return Policy.model_validate({**whole, **sections}).at(version)


def test_what_changed_is_named_and_no_value_is():
    audit = MemoryAudit()
    trail = PolicyTrail(audit, lambda: 3.0)
    before = policy("v1")
    key = {"id": "bob", "digest": "a" * 64, "tenant": "acme"}
    after = policy("v2", keys=[key], pools=[{**POOL, "endpoints": ["10.0.0.2:1"]}], models=[])
    trail.begun(before)
    trail.changed(before, after)
    trail.rejected("v3", "v2")
    loaded, changed, rejected = audit.records
    assert (loaded.at_ms, loaded.action, loaded.object) == (3000, "policy.loaded", "v1")
    assert (changed.action, changed.object, changed.actor) == ("policy.changed", "v2", "headgate")
    assert changed.members["before"] == "v1"
    assert set(changed.members["sections"].split(", ")) == {"keys", "pools", "models"}
    assert set(changed.members["entries"].split(", ")) == {
        *("added keys bob", "changed pools p", "removed models m")
    }
    assert "10.0.0.2" not in str(changed)
    assert "aaaa" not in str(changed)
    assert (rejected.action, rejected.object, rejected.outcome) == (
        *("policy.rejected", "v3", "rejected"),
    )


def test_a_section_that_is_no_list_has_no_entries():
    audit = MemoryAudit()
    PolicyTrail(audit).changed(policy("v1"), policy("v2", salt="other salt"))
    assert audit.records[0].members == {"before": "v1", "sections": "salt", "changes": 1}


def test_many_names_are_cut():
    audit = MemoryAudit()
    many = [{"name": f"tenant-{n}"} for n in range(1000)]
    PolicyTrail(audit).changed(policy("v1"), policy("v2", tenants=[{"name": "acme"}, *many]))
    assert len(audit.records[0].members["entries"]) == MOST_CHARS


def test_a_full_disk_stops_no_policy(caplog):
    audit = MemoryAudit()
    audit.broken = True
    PolicyTrail(audit).begun(policy("v1"))
    assert [each.getMessage() for each in caplog.records] == ["audit_not_written"]
