"""A question's dimensions and conditions in SQL, over `usage_key` as over `entry`."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table, and_, false, func, literal, not_, or_

from ledger.question import Condition
from ledger.tables import SUBJECT


def stored(dimension: str) -> str:
    """Name the column that a dimension is read from."""
    return "groups" if dimension == "group" else dimension


def column(table: Table, name: str) -> ColumnElement[Any]:
    """Find a stored dimension. People have their names, so `with_people` has to be in the query."""
    if name == "user":
        return func.coalesce(SUBJECT.c.name, table.c.user)
    return table.c[name]


def with_people(source: FromClause, table: Table, names: Collection[str]) -> FromClause:
    """Join who people are to a `source` that has `table` in it, if any of `names` asks for that.

    An outer join: who was erased keeps the pseudonym.
    """
    if "user" not in names:
        return source
    return source.outerjoin(SUBJECT, SUBJECT.c.pseudonym == table.c.user)


def hold(conditions: Iterable[Condition], table: Table, dialect: str) -> list[ColumnElement[bool]]:
    """Write conditions on rows of `table`."""
    return [_holds(condition, table, dialect) for condition in conditions]


def _holds(condition: Condition, table: Table, dialect: str) -> ColumnElement[bool]:
    found = column(table, stored(condition.dimension))
    said = [value for value in condition.values if value is not None]
    match condition.dimension:
        case "group":
            one_of = or_(false(), *(_is_among(found, value, dialect) for value in said))
        case "status":
            one_of = found.in_([int(value) for value in said])
        case _:
            one_of = found.in_(said)
    # What is unknown is neither equal nor unequal in SQL; here it is a value as any other.
    unknown = found.is_(None)
    if None in condition.values:
        return and_(not_(unknown), not_(one_of)) if condition.negated else or_(unknown, one_of)
    return or_(unknown, not_(one_of)) if condition.negated else one_of


def _is_among(groups: ColumnElement[Any], group: str, dialect: str) -> ColumnElement[bool]:
    """Look for one of several groups. Not by LIKE, to which A and a are the same in SQLite."""
    position = func.instr if dialect == "sqlite" else func.strpos
    comma = literal(",")
    return position(comma + groups + comma, f",{group},") > 0
