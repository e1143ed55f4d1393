"""The comparison of rules: equal starts, a declared search, resumption, rules of users, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.cells import Cell, linear_steps
from ohmweave.cli import main
from ohmweave.evaluation import COMPARISON, Contender, compare, compared_cells, contenders
from ohmweave.evaluation.comparison_page import equal_pulses, validation_at
from ohmweave.experiments import Row
from ohmweave.optim import Manhattan
from tests.helpers import assert_close

LEAST = {"smoke": {"n_train": 50, "trial": 1, "epochs": 2, "extensions": 0}}
MINE = """
import ohmweave as ow
def make(params, start):
    return ow.optim.Manhattan(params, g_step=start.g_step, dead=min(start.value, 1.0))
RULES = {"my rule": ow.evaluation.Contender(make=make, axis="dead", start=(0.1, 0.2))}
CELLS = {"mine": ow.cells.linear_steps(g_min=1e-6, g_max=9e-6, levels=60)}
"""


@pytest.fixture
def least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ohmweave.evaluation.comparison._SIZES", LEAST)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return path


@pytest.mark.usefixtures("least")
def test_a_rule_of_a_file_equals_the_same_rule_of_ohmweave(mine: Path, tmp_path: Path) -> None:
    result = compare(["my-rule", "manhattan"], cells=["mine"], imports=[mine], seeds=2, out=tmp_path / "out")
    assert result.rules == ("my rule", "Manhattan")
    final = [row for row in result.rows if row.params["stage"] == "final"]
    assert len(final) == 4
    assert len([row for row in result.rows if row.params["stage"] == "search"]) == 4
    by_rule = {name: [row for row in final if row.params["rule"] == name] for name in result.rules}
    for one, other in zip(*by_rule.values(), strict=True):  # the same start, order, chip and law of pulses
        assert one.params["value"] == other.params["value"]
        assert one.result == other.result
    pulses = final[0].result["n_pulses"]
    assert pulses[0] == 0
    assert np.diff(pulses).min() > 0
    assert len(final[0].result["validation"]) == 3  # before the first epoch, and after each
    lines = result.table()
    assert [line["seeds"] for line in lines] == ["2", "2"]
    assert lines[0] | {"rule": ""} == lines[1] | {"rule": ""}


@pytest.mark.usefixtures("least")
def test_rows_are_kept_and_seeds_add(mine: Path, tmp_path: Path) -> None:
    first = compare(["my-rule"], cells=["mine"], imports=[mine], seeds=1, out=tmp_path / "out")
    rows = (tmp_path / "out" / "compare" / "rows.jsonl").read_bytes()
    more = compare(["my-rule"], cells=["mine"], imports=[mine], seeds=2, out=tmp_path / "out")
    after = (tmp_path / "out" / "compare" / "rows.jsonl").read_bytes()
    assert after.startswith(rows)
    assert len(more.rows) == len(first.rows) + 1
    mine.write_text(MINE + "\n# changed\n", encoding="utf-8")
    compare(["my-rule"], cells=["mine"], imports=[mine], seeds=2, out=tmp_path / "out")
    assert (tmp_path / "out" / "compare" / "rows.jsonl").read_bytes() != after  # a changed rule is run anew


@pytest.mark.usefixtures("least")
def test_the_command_prints_a_table_and_writes_a_page(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["compare", "my-rule", "--import", str(mine), "--cells", "mine", "--seeds", "2", "--out", str(out)]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code
    assert "my rule" in capsys.readouterr().out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Learning curves" in page
    assert "could not be" not in page
    assert (out / "figures").is_dir()
    with pytest.raises(SystemExit):
        main(["cite", str(out)])
    assert "alpaydin1998" in capsys.readouterr().out


def _row(rule: str, pulses: list[int], right: list[int]) -> Row:
    params = {"stage": "final", "cell": "c", "rule": rule, "axis": "lr", "value": 0.1}
    result = {"n_pulses": pulses, "validation": right, "n_validation": 100}
    return Row(id=rule, experiment="compare", params=params, seed=0, result=result)


def test_equal_pulses_are_the_fewest_of_any_result() -> None:
    slow, fast = _row("slow", [0, 100, 200], [10, 50, 90]), _row("fast", [0, 50, 80], [10, 70, 80])
    least = equal_pulses([slow, fast])
    assert least == {"c": 80}
    assert_close(validation_at(slow, 80), 0.10 + 0.40 * 0.8, rtol=1e-12)
    assert_close(validation_at(fast, 80), 0.80, rtol=1e-12)


def test_what_is_refused(tmp_path: Path, mine: Path) -> None:
    with pytest.raises(OutOfRangeError, match="`RULES` must be of mixed-precision"):
        compare(["none"], out=tmp_path)
    with pytest.raises(OutOfRangeError, match="`--cells` must be of linear"):
        compare(["manhattan"], cells=["none"], out=tmp_path)
    with pytest.raises(OutOfRangeError, match="`seeds`"):
        compare(["manhattan"], seeds=0, out=tmp_path)
    with pytest.raises(OutOfRangeError, match="equal ratios"):
        Contender(make=lambda params, start: Manhattan(params, g_step=1e-9), axis="lr", start=(0.1, 0.2, 0.9))
    mine.write_text("x = 1", encoding="utf-8")
    with pytest.raises(DataError, match="must define RULES or CELLS"):
        contenders([mine])
    mine.write_text("RULES = {'a': 1}", encoding="utf-8")
    with pytest.raises(DataError, match="Contender"):
        contenders([mine])
    assert not list(tmp_path.glob("compare*"))


def test_known_cells_and_rules() -> None:
    assert {"linear", "soft-bounds", "yao2020"} <= compared_cells().keys()
    assert compared_cells()["linear"] == Cell(linear_steps(g_min=2e-6, g_max=20e-6, levels=1_000))
    assert all(one.source for one in contenders().values())
    with pytest.raises(Exception, match="compare RULES"):
        COMPARISON.tasks(None)  # type: ignore[arg-type]
