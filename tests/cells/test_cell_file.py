"""Cell files: what is written is what is read, and what cannot be read is named, with its file and field."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ohmweave as ow
from ohmweave.base import DataError
from ohmweave.cells import (
    Cell,
    LinearStep,
    Relaxation,
    SinhConduction,
    Spread,
    StuckCells,
    SwitchingLaw,
    VoltageDependence,
    load,
    save,
    wang2019,
    yao2020,
)
from ohmweave.cells.cell_file import PARTS
from tests.cells.shipped import CELLS, LAWS, PUBLISHED, SUMMED

EVERY = CELLS | PUBLISHED | SUMMED


@pytest.mark.parametrize("name", EVERY)
def test_a_cell_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    save(EVERY[name], tmp_path / "cell.json", about={"cells": 3})
    assert load(tmp_path / "cell.json") == EVERY[name]
    content = json.loads((tmp_path / "cell.json").read_text())
    assert (content["format"], content["version"], content["about"]) == ("ohmweave cell", 2, {"cells": 3})
    assert [path.name for path in tmp_path.iterdir()] == ["cell.json"]
    assert ow.cells.load is load


def test_a_bare_law_is_saved_as_a_cell(tmp_path: Path) -> None:
    save(LAWS["table"], tmp_path / "cell.json")
    assert load(tmp_path / "cell.json") == Cell(LAWS["table"])
    with pytest.raises(TypeError, match="`cell` must be a Cell or a SwitchingLaw, but is 'yao2020'"):
        save("yao2020", tmp_path / "cell.json")  # type: ignore[arg-type]


def test_every_part_of_the_package_can_be_written() -> None:
    frozen = {name for name in ow.cells.__all__ if hasattr(getattr(ow.cells, name), "__dataclass_fields__")}
    kinds = {kind.__name__ for kinds in PARTS.values() for kind in kinds}
    assert frozen == kinds | {"Cell", "LinearGate", "TabulatedGate"}
    assert set(PARTS) == set(Cell.__dataclass_fields__)


@given(st.floats(1e-9, 1e-6), st.floats(2e-6, 1e-3), st.floats(0, 1))
def test_numbers_come_back_to_the_last_bit(tmp_path_factory, g_min: float, g_max: float, d2d: float) -> None:
    path = tmp_path_factory.mktemp("cell") / "cell.json"
    cell = Cell(LinearStep(g_min=g_min, g_max=g_max), spread=Spread(d2d=d2d))
    save(cell, path)
    assert load(path) == cell


GOOD: dict[str, Any] = {
    "format": "ohmweave cell",
    "version": 2,
    "cell": {
        "switching": {"kind": "LinearStep", "g_min": 2e-6, "g_max": 20e-6, "levels": 64},
        "spread": {"kind": "Spread", "d2d": 0.1},
    },
    "about": {},
}
TABLE = {"kind": "PulseTable", "g_min": 2e-6, "g_max": 2e-5, "set_mean": [1e-7], "set_spread": [0], "reset_mean": [0]}


def changed(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with entries replaced by dotted name; None removes one."""
    copy = json.loads(json.dumps(content))
    for name, value in changes.items():
        *path, last = name.split("__")
        at = copy
        for step in path:
            at = at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return copy


def refused(content: Any, message: str, folder: Path) -> None:
    path = folder / "my cell.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert "my cell.json" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, 'must be a cell file, but has no `"format": "ohmweave cell"`'),
        ({"version": 3}, "`version` must be 2, but is 3"),
        ({"version": 1}, "`version` must be 2, but is 1"),
        ({"notes": 1}, "must hold format, version, cell and about, but holds notes"),
        ({"cell": None}, "cell must be an object, but is None"),
        ({"cell__switching": None}, "cell must have a switching law, but has no `switching`"),
        ({"cell__swicthing": {}}, "cell has the parts switching, .*, but not swicthing"),
        ({"cell__switching__kind": "Cubic"}, "cell.switching: `kind` must be one of AffineStep, .*, but is 'Cubic'"),
        ({"cell__switching__kind": "Spread"}, "cell.switching: `kind` must be one of AffineStep"),
        ({"cell__spread__kind": "LinearStep"}, "cell.spread: `kind` must be one of Spread, but is 'LinearStep'"),
        ({"cell__spread__c2c": 0.1}, "cell.spread: Spread has the fields d2d, trains, but not c2c"),
        ({"cell__spread__d2d": "0.1"}, "cell.spread.d2d must be a finite number, but is '0.1'"),
        ({"cell__spread__d2d": True}, "cell.spread.d2d must be a finite number, but is True"),
        ({"cell__spread__d2d": -0.1}, "cell.spread: `d2d` must be >= 0, but is -0.1"),
        ({"cell__spread__d2d": float("nan")}, "must be JSON, but is not: it holds NaN"),
        ({"cell__spread__d2d": 10**400}, "cell.spread.d2d must be a finite number"),
        ({"cell__spread__trains": "long"}, "cell.spread.trains must be 'exact' or 'aggregate', but is 'long'"),
        ({"cell__spread": 3}, "cell.spread must be an object with a `kind`, but is 3"),
        ({"cell__switching__g_max": None}, "cell.switching: LinearStep needs g_max"),
        ({"cell__switching__g_max": 1e-6}, "cell.switching: `g_max` must be > g_min"),
        ({"cell__switching__levels": 2.5}, "cell.switching.levels must be an integer, but is 2.5"),
        ({"cell__switching": [1]}, "cell.switching must be an object"),
        ({"cell__retention": [{"kind": "Relaxation", "tau": 0}]}, r"cell.retention\[0\]: `tau` must be > 0 s"),
        (
            {"cell__retention": [{}]},
            r"cell.retention\[0\]: `kind` must be one of Relaxation, LevelRelaxation, FlickerNoise, but is None",
        ),
        (
            {"cell__faults": {"kind": "StuckCells", "fraction": 0.1, "g_stuck": [1e-6]}},
            "g_stuck must be a finite number or a list of 2 finite numbers",
        ),
        ({"cell__switching": {**TABLE}}, "cell.switching: PulseTable needs reset_spread"),
        (
            {"cell__switching": {**TABLE, "reset_spread": 0}},
            "cell.switching.reset_spread must be a list of finite numbers",
        ),
        ({"cell__switching": {**TABLE, "reset_spread": [0, 0]}}, "cell.switching: `reset_spread` must have 1 bins"),
        ({"cell__switching": {**TABLE, "reset_spread": ["0"]}}, "reset_spread must be a list of finite numbers"),
        (
            {"cell__switching": {"kind": "GateCompliance", "gate": {"kind": "Spread"}, "v_gate": 1, "v_gate_max": 2}},
            "cell.switching.gate: `kind` must be one of LinearGate, TabulatedGate, but is 'Spread'",
        ),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    refused(changed(GOOD, **changes), message, tmp_path)


def test_numbers_beyond_a_float_are_refused(tmp_path: Path) -> None:
    refused(json.dumps(GOOD).replace("0.1", "1e999"), "cell.spread.d2d must be a finite number, but is inf", tmp_path)
    refused(json.dumps(GOOD).replace("0.1", "-Infinity"), "it holds -Infinity", tmp_path)


def test_lists_and_integers_are_taken_where_they_fit(tmp_path: Path) -> None:
    path = tmp_path / "cell.json"
    more = {"retention": {"kind": "Relaxation", "t_slow": 60}, "faults": None}
    path.write_text(json.dumps(changed(GOOD, cell={**GOOD["cell"], **more})))
    cell = load(path)
    assert cell.retention == (Relaxation(t_slow=60.0),)
    assert cell.faults is None


def test_no_file_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.json cannot be read"):
        load(tmp_path / "none.json")
    for torn in ('{"format": ', "[" * 100_000, "[]", "3", '"ohmweave cell"'):
        refused(torn, "my cell.json must be", tmp_path)


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    class Own(LinearStep):
        """Not of this package."""

    class OwnGate:
        def conductance(self, v_gate: Any) -> Any:
            return v_gate * 1e-4

    path = tmp_path / "cell.json"
    save(LAWS["table"], path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"`cell` must be made of AffineStep, .* to be saved, but holds a Own"):
        save(Own(g_min=1e-6, g_max=2e-6), path)
    with pytest.raises(DataError, match=r"made of LinearGate, TabulatedGate to be saved, but holds a OwnGate"):
        save(wang2019(gate=OwnGate()), path)
    with pytest.raises(DataError, match="`about` must hold JSON values"):
        save(LAWS["table"], path, about={"score": float("nan")})
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["cell.json"]


# Version 1: laws nested in wrappers.

LAW_1 = {"kind": "AffineCell", "g_min": 2e-6, "g_max": 2e-5, "set_step": [1e-7, 5e-8], "reset_step": [0.0, -1e-7]}


def wrapped(law: dict[str, Any], *wrappers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """The innermost wrapper first."""
    for kind, arguments in wrappers:
        law = {"kind": kind, **arguments, "law": law}
    return law


def v1(law: Any, name: str = "memweave device") -> dict[str, Any]:
    return {"format": name, "version": 1, "law": law, "about": {"wafer": 7}}


WRAPPERS: dict[str, tuple[dict[str, Any], Any]] = {
    "WithD2D": ({"d2d": 0.2, "trains": "aggregate"}, {"spread": Spread(d2d=0.2, trains="aggregate")}),
    "WithVoltageDependence": (
        {"v_set": 1.2, "v_reset": 1.4, "v0": 0.1, "v_threshold": 0.0},
        {"voltage": VoltageDependence(v_set=1.2, v_reset=1.4, v0=0.1)},
    ),
    "WithRelaxation": ({"sigma_fast": 4e-7}, {"retention": (Relaxation(sigma_fast=4e-7),)}),
    "WithStuckCells": (
        {"fraction": 0.1, "g_stuck": [1e-6, 3e-6]},
        {"faults": StuckCells(fraction=0.1, g_stuck=(1e-6, 3e-6))},
    ),
    "WithSinhCurrent": ({"v0": 0.3}, {"conduction": SinhConduction(v0=0.3)}),
    "WithReadNoise": ({"fraction": 0.0, "floor": 1e-7}, {"read_noise": ow.cells.ReadNoise(floor=1e-7)}),
}


@pytest.mark.parametrize("name", ["memweave device", "ohmweave device"])
@pytest.mark.parametrize("order", [1, -1])
def test_wrappers_of_version_1_become_parts_whatever_their_order(name: str, order: int, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    wrappers = [(kind, arguments) for kind, (arguments, _) in WRAPPERS.items()][::order]
    path.write_text(json.dumps(v1(wrapped(LAW_1, *wrappers), name)))
    law = ow.cells.AffineStep(g_min=2e-6, g_max=2e-5, set_step=(1e-7, 5e-8), reset_step=(0.0, -1e-7))
    assert load(path) == Cell(law, **{key: part for _, parts in WRAPPERS.values() for key, part in parts.items()})


LINEAR_1 = {"kind": "LinearCell", "g_min": 2e-6, "g_max": 2e-5, "levels": 64}
GATE_1 = {
    "kind": "GateControlledCell",
    "gate": {"kind": "TabulatedGate", "v_gate": [1.0, 2.0], "g": [1e-5, 2e-4]},
    "v_gate": 1.5,
    "v_gate_max": 2.0,
}
TABLE_1 = {**TABLE, "reset_spread": [1e-8], "z_max": 1.0, "g_fresh": [2e-5, 2.4e-5]}


@pytest.mark.parametrize(
    ("law", "kind"),
    [(LINEAR_1, "LinearStep"), (LAW_1, "AffineStep"), (GATE_1, "GateCompliance"), (TABLE_1, "PulseTable")],
)
def test_laws_of_version_1_have_new_names(law: dict[str, Any], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(v1(law)))
    cell = load(path)
    assert isinstance(cell.switching, SwitchingLaw)
    assert type(cell.switching).__name__ == kind
    save(cell, tmp_path / "new.json")
    assert load(tmp_path / "new.json") == cell


@pytest.mark.parametrize(("old", "new"), [(None, "all"), ("all", "all"), ("written", "written")])
def test_the_default_of_noise_on_is_that_of_version_1(old: str | None, new: str, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(v1({**GATE_1, **({} if old is None else {"noise_on": old})})))
    assert load(path).switching.noise_on == new  # type: ignore[attr-defined]


def test_the_published_cell_of_version_1_is_that_of_now(tmp_path: Path) -> None:
    """Three relaxations, the innermost first, in stuck cells, in read noise."""
    now = yao2020(variant="tails", drift=True, read_noise=0.01)
    path = tmp_path / "old.json"
    save(now, tmp_path / "new.json")
    parts = json.loads((tmp_path / "new.json").read_text())["cell"]
    wrappers = [("WithRelaxation", dict(one)) for one in parts["retention"]]
    wrappers += [("WithStuckCells", dict(parts["faults"])), ("WithReadNoise", dict(parts["read_noise"]))]
    for kind, arguments in wrappers:
        arguments["kind"] = kind
    path.write_text(json.dumps(v1(wrapped(parts["switching"], *[(kind, arguments) for kind, arguments in wrappers]))))
    assert load(path) == now


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (None, "law must be an object with a `kind`, but is None"),
        (3, "law must be an object with a `kind`, but is 3"),
        ({"kind": "Cubic"}, "law: `kind` must be one of AffineCell, .*, but is 'Cubic'"),
        ({"kind": "AffineStep"}, "law: `kind` must be one of AffineCell"),
        ({"kind": "WithD2D", "d2d": 0.1}, "law.law must be an object with a `kind`, but is None"),
        (
            wrapped(LAW_1, ("WithD2D", {"d2d": 0.1}), ("WithD2D", {"d2d": 0.2})),
            "law.law must not be a second WithD2D: a cell has one `spread`. Remove one of the two",
        ),
        (wrapped(LAW_1, ("WithD2D", {"d2d": -0.1})), "law: `d2d` must be >= 0, but is -0.1"),
        (wrapped(LAW_1, ("WithD2D", {"d2d": 0.1, "c2c": 1})), "law: Spread has the fields d2d, trains, but not c2c"),
        (wrapped({**LAW_1, "g_max": 1e-6}, ("WithD2D", {"d2d": 0.1})), "law.law: `g_max` must be > g_min"),
    ],
)
def test_what_cannot_be_read_of_version_1_is_named(law: Any, message: str, tmp_path: Path) -> None:
    refused(v1(law), message, tmp_path)


def test_a_later_version_of_the_old_format_is_refused(tmp_path: Path) -> None:
    refused({**v1(LAW_1), "version": 2}, "`version` must be 1, but is 2", tmp_path)
