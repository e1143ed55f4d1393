"""Settings: what must not differ between rows that are put into one number.

An experiment that batches all chips into one task names their count in `params["seeds"]`; one task a chip needs no
such name, and its rows may be added to later. Rows on digits and rows on MNIST never meet in one claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from memweave.experiments.claims import DATA_TITLES
from memweave.experiments.tasks import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The values of `params["data"]`, `["scale"]` and `["seeds"]`; None where a row doesn't say."""

    data: str | None = None
    scale: str | None = None
    seeds: int | None = None

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
        return ", ".join(parts) or "one setting"

    @property
    def slug(self) -> str:
        """The same as part of a file name: "mnist-full-10"."""
        return "-".join(str(part) for part in (self.data, self.scale, self.seeds) if part is not None) or "all"


def setting_of(row: Row) -> Setting:
    """The setting that `row` was computed in."""
    return Setting(data=row.params.get("data"), scale=row.params.get("scale"), seeds=row.params.get("seeds"))


def by_setting(rows: Sequence[Row]) -> dict[Setting, list[Row]]:
    """Rows by setting, sorted by its title."""
    groups: dict[Setting, list[Row]] = {}
    for row in rows:
        groups.setdefault(setting_of(row), []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (str(item[0].data), str(item[0].scale), item[0].seeds or 0)))
