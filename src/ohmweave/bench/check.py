"""Conformance of an array, on real hardware too: a few sacrificial cells, a budget of pulses, and words for what fails.

def test_my_board():
check_array(MyDriver(...), corner=(0, 0, 0), max_pulses=500)
"""

from dataclasses import dataclass, field

from ohmweave.arrays import Array, Corner, Placement, Tile, cells_of
from ohmweave.base import OutOfRangeError, check_fraction, check_integer, shown
from ohmweave.base.text import counted
from ohmweave.bench.check_probe import BudgetError, Probe
from ohmweave.bench.driver import Driver
from ohmweave.bench.single_checks import CHECKS
from ohmweave.bench.wrapper import as_array

ROWS, COLS = 2, 4
"""Size of the rectangle of sacrificial cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what is checked, as a sentence.
        outcome: "passed", "failed", or "left out" where the budget of pulses did not suffice.
        words: what is wrong or why it was left out; "" if it passed.
    """

    check: str
    outcome: str
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """The results of all checks.

    Attributes:
        array: the array, in words.
        findings: one for each check.
        n_pulses: pulses that were sent to the sacrificial cells.
        durations: s, by what was measured: a vector read, a cell read out, a pulse.
    """

    array: str
    findings: tuple[Finding, ...]
    n_pulses: int
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True if no check failed and none was left out."""
        return all(one.outcome == "passed" for one in self.findings)

    def __str__(self) -> str:
        """One line for each check, then the durations."""
        lines = [f"{one.outcome:8} {one.check}" + (f": {one.words}" if one.words else "") for one in self.findings]
        spent = ", ".join(f"{value:.3g} s a {what}" for what, value in self.durations.items())
        return "\n".join(
            [self.array, *lines, f"{counted(self.n_pulses, 'pulse')} sent" + (f"; {spent}" if spent else "")]
        )


def inspect_array(
    array: Array | Driver,
    *,
    corner: Corner = (0, 0, 0),
    max_pulses: int = 1000,
    n_pulses: int = 20,
    tolerance: float = 0.05,
) -> Conformance:
    """Check an array against the protocol `Array`.

    Pulses go to a rectangle of 2 x 4 sacrificial cells alone; other cells on its lines are only read.

    Args:
        array: any array with at least 4 rows and 5 columns, or the driver of a board.
        corner: (array, row, column) where the sacrificial rectangle begins.
        max_pulses: the budget; checks for which it does not suffice are left out, and the array has not passed.
        n_pulses: pulses of a train that must move a cell visibly.
        tolerance: fraction of the largest current that wires and converters may change a read by, against the product
            of voltages and readouts; read noise is measured and added.

    Returns:
        The findings; nothing is raised for what the array does wrong.

    Raises:
        OutOfRangeError: an argument is out of range, or the rectangle is not on the array.
    """
    whole = as_array(array)
    place = _placement(whole, corner)
    probe = Probe(
        whole,
        place,
        max_pulses=check_integer("max_pulses", max_pulses, at_least=0),
        n_pulses=check_integer("n_pulses", n_pulses, at_least=1),
        tolerance=check_fraction("tolerance", tolerance),
    )
    findings = []
    for check in CHECKS:
        name = (check.__doc__ or "").split("\n")[0].rstrip(".")
        try:
            words = check(probe)
        except BudgetError as error:
            findings.append(Finding(check=name, outcome="left out", words=str(error)))
            continue
        except Exception as error:  # noqa: BLE001 - what a driver raises is a finding
            words = f"raised {type(error).__name__}: {error}"
        findings.append(Finding(check=name, outcome="failed" if words else "passed", words=words or ""))
    return Conformance(
        array=repr(whole), findings=tuple(findings), n_pulses=probe.n_sent, durations=dict(probe.durations)
    )


def check_array(
    array: Array | Driver,
    *,
    corner: Corner = (0, 0, 0),
    max_pulses: int = 1000,
    n_pulses: int = 20,
    tolerance: float = 0.05,
) -> Conformance:
    """As `inspect_array`, in one line of a test.

    Args:
        array: as in `inspect_array`.
        corner: as in `inspect_array`.
        max_pulses: as in `inspect_array`.
        n_pulses: as in `inspect_array`.
        tolerance: as in `inspect_array`.

    Returns:
        The findings, if all checks passed.

    Raises:
        AssertionError: a check failed or was left out; the message says in words what is wrong.
        OutOfRangeError: as `inspect_array`.
    """
    found = inspect_array(array, corner=corner, max_pulses=max_pulses, n_pulses=n_pulses, tolerance=tolerance)
    if not found.passed:
        raise AssertionError(str(found))
    return found


def _placement(array: Array, corner: Corner) -> Placement:
    """Two inputs by two outputs of a pair of columns each, in two tiles of one row."""
    if not isinstance(corner, tuple) or len(corner) != 3:
        raise OutOfRangeError(f"`corner` must be (array, row, column), but is {shown(corner)}")
    index, row, col = (check_integer(f"corner[{i}]", one, at_least=0) for i, one in enumerate(corner))
    if index >= array.n_arrays or row + ROWS > array.rows or col + COLS > array.cols:
        raise OutOfRangeError(
            f"`corner` must leave {ROWS} x {COLS} cells on one of the arrays of {array.rows} x "
            f"{array.cols}, but is {corner}"
        )
    tiles = tuple(
        Tile(array=index, row=row + line, col=col, rows=1, cols=COLS, row_line=line, col_line=0) for line in range(ROWS)
    )
    return Placement(tiles=tiles, cells=cells_of(tiles, rows=array.rows, cols=array.cols), col_gain=(1.0, -1.0))
