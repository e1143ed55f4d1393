"""Device files: what is written is what is read, and what cannot be read is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ohmweave.cells.files import KINDS

import ohmweave as ow
from ohmweave.base import DataError
from ohmweave.cells import (
    GateCompliance,
    LinearGate,
    LinearStep,
    WithD2D,
    WithReadNoise,
    WithRelaxation,
    WithSinhCurrent,
    WithStuckCells,
    WithVoltageDependence,
    load,
    save,
    soft_bounds,
    stellar2023,
    wang2019,
    yao2020,
)

AFFINE = soft_bounds(g_min=2e-6, g_max=20e-6, levels=100, c2c=0.3)
LAWS = [
    LinearStep(g_min=2e-6, g_max=20e-6, levels=64),
    WithD2D(law=AFFINE, d2d=0.3, trains="aggregate"),
    WithSinhCurrent(law=WithVoltageDependence(law=AFFINE, v_set=1.2, v_reset=1.4, v0=0.1), v0=0.3),
    stellar2023(level=3, noise=1.0),
    yao2020(read_noise=0.01, variant="tails", drift=True),
    wang2019(),
    wang2019(gate="device", stuck=0.0),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_a_law_comes_back_as_it_was(law: Any, tmp_path: Path) -> None:
    save(law, tmp_path / "cell.json", about={"cells": 3})
    assert load(tmp_path / "cell.json") == law
    assert json.loads((tmp_path / "cell.json").read_text())["about"] == {"cells": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["cell.json"]
    assert ow.cells.load is load


def test_every_law_of_the_package_can_be_written() -> None:
    def parts(law: Any) -> set[str]:
        inner = [getattr(law, name) for name in ("law", "gate") if hasattr(law, name)]
        return {type(law).__name__}.union(*map(parts, inner))

    public = {name for name in ow.cells.__all__ if hasattr(getattr(ow.cells, name), "__dataclass_fields__")}
    assert public == set(KINDS)
    assert set().union(*map(parts, LAWS)) == set(KINDS)


@given(st.floats(1e-9, 1e-6), st.floats(2e-6, 1e-3), st.floats(0, 1))
def test_numbers_come_back_to_the_last_bit(tmp_path_factory, g_min: float, g_max: float, d2d: float) -> None:
    path = tmp_path_factory.mktemp("device") / "cell.json"
    law = WithD2D(law=LinearStep(g_min=g_min, g_max=g_max), d2d=d2d)
    save(law, path)
    assert load(path) == law


def written(path: Path, **changes: Any) -> Path:
    """A device file of a linear cell with d2d, changed."""
    save(WithD2D(law=LinearStep(g_min=2e-6, g_max=20e-6), d2d=0.1), path)
    content = json.loads(path.read_text())
    for name, value in changes.items():
        place, *last = name.split("__")
        if last:
            content["law"][last[0]] = value
        elif value is None:
            del content[place]
        else:
            content[place] = value
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "must be a device file, but has no"),
        ({"version": 2}, "`version` must be 1, but is 2"),
        ({"law": None}, "law must be an object with a `kind`, but is None"),
        ({"law__kind": "Cubic"}, "law: `kind` must be one of AffineStep, .*, but is 'Cubic'"),
        ({"law__c2c": 0.1}, "law: WithD2D has the fields law, d2d, trains, but not c2c"),
        ({"law__d2d": "0.1"}, "law: `d2d` must be >= 0, but is '0.1'"),
        ({"law__d2d": float("nan")}, "must be JSON"),
        ({"law__law": {"kind": "LinearStep", "g_min": 2e-6}}, "law.law: LinearStep needs g_max"),
        ({"law__law": {"kind": "LinearStep", "g_min": 2e-6, "g_max": 1e-6}}, "law.law: `g_max` must be > g_min"),
        ({"law__law": 3}, "law.law must be an object with a `kind`, but is 3"),
        ({"law__law": {"kind": "LinearGate", "slope": 1e-4}}, "law.law must be the law of a cell, but is a LinearGate"),
        ({"law": {"kind": "LinearGate", "slope": 1e-4}}, "law must be the law of a cell, but is a LinearGate"),
        (
            {"law": {"kind": "AffineStep", "g_min": 1e-6, "g_max": 2e-6, "set_step": 3, "reset_step": [0, 0]}},
            "law: .*'int' object is not iterable",
        ),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load(written(tmp_path / "cell.json", **changes))


def test_no_file_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.json cannot be read"):
        load(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text('{"format": ')
    with pytest.raises(DataError, match=r"torn.json must be JSON, but is not"):
        load(tmp_path / "torn.json")


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    class Own:
        g_min, g_max = 1e-6, 2e-6

    path = tmp_path / "cell.json"
    save(AFFINE, path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"`law` must be made of AffineStep, .* but holds a Own"):
        save(WithD2D(law=Own(), d2d=0.1), path)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="`about` must hold JSON values"):
        save(AFFINE, path, about={"score": float("nan")})
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["cell.json"]


def test_nested_wrappers_keep_their_order(tmp_path: Path) -> None:
    gate = GateCompliance(gate=LinearGate(slope=1e-4), v_gate=1.0, v_gate_max=2.0)
    law = WithStuckCells(law=WithRelaxation(law=WithReadNoise(law=gate, floor=1e-7)), fraction=0.1, g_stuck=1e-5)
    save(law, tmp_path / "cell.json")
    assert load(tmp_path / "cell.json") == law
