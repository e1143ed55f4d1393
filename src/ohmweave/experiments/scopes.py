"""Scopes: data set, scale and number of seeds, which must be equal in rows that are put into one number.

An experiment that batches all chips into one task writes their count to `params["seeds"]`. With one task for each chip
there is no such entry, and more rows may be added later. Rows on digits and rows on MNIST are never in one claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ohmweave.base.fields import check_fields, integer
from ohmweave.base.text import safe_name
from ohmweave.experiments.claims import DATA_TITLES
from ohmweave.experiments.tasks import Row
from ohmweave.experiments.values import JSON, canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The values of `params["data"]`, `["scale"]` and `["seeds"]`; None where a row has no such entry."""

    data: str | None = None
    scale: str | None = None
    seeds: Annotated[int, integer(at_least=1)] | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def title(self) -> str:
        """As in "MNIST, full scale, 10 seeds"."""
        parts = []
        if self.data is not None:
            parts.append(DATA_TITLES.get(self.data, self.data))
        if self.scale is not None:
            parts.append(f"{self.scale} scale")
        if self.seeds is not None:
            parts.append(f"{self.seeds} seed{'' if self.seeds == 1 else 's'}")
        return ", ".join(parts) or "all rows"

    @property
    def slug(self) -> str:
        """The same as part of a file name: "mnist-full-10"; see `safe_name` for values that are no such part."""
        parts = (self.data, self.scale, self.seeds)
        return "-".join(safe_name(str(part)) for part in parts if part is not None) or "all"


def scope_of(row: Row) -> Scope:
    """The scope that `row` was computed in."""
    return Scope(data=row.params.get("data"), scale=row.params.get("scale"), seeds=row.params.get("seeds"))


def by_scope(rows: Sequence[Row]) -> dict[Scope, list[Row]]:
    """Rows by scope, sorted by data set, scale and number of seeds."""
    groups: dict[Scope, list[Row]] = {}
    for row in rows:
        groups.setdefault(scope_of(row), []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (str(item[0].data), str(item[0].scale), item[0].seeds or 0)))


def by_params(rows: Sequence[Row]) -> list[tuple[dict[str, JSON], list[Row]]]:
    """Groups of rows that differ in nothing but their seeds, in order of appearance.

    Returns:
        Pairs of the params that distinguish the group from the others (none where there is one group) and its rows.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(canonical(row.params), []).append(row)
    every = [group[0].params for group in groups.values()]
    names = dict.fromkeys(name for params in every for name in params)
    distinguishing = [name for name in names if len({canonical(params.get(name)) for params in every}) > 1]
    return [({name: group[0].params.get(name) for name in distinguishing}, group) for group in groups.values()]
