"""A cell whose reads are NaN, as those of an open line: every scheme writes the others and reports it as failed."""

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import Pulse
from ohmweave.circuit import Wires
from ohmweave.programming import (
    BlindWrite,
    CompensatedWrite,
    IncrementalWrite,
    StagedWrite,
    Write,
    WriteStoppedError,
    WriteVerify,
)
from ohmweave.testing import BareArray

STEP = 0.5e-6
FINE = WriteVerify(tolerance=0.3e-6)
SCHEMES = {
    "write-verify": FINE,
    "incremental": IncrementalWrite(tolerance=0.3e-6, v_set=1.0, v_reset=1.0, v_step=0.1, v_max=2.0),
    "blind": BlindWrite(g_step=STEP),
    "staged": StagedWrite(stages=(BlindWrite(g_step=STEP), FINE)),
}
CELLS, TARGETS = torch.tensor([0, 1, 3, 5]), torch.tensor([4e-6, 9e-6, 6e-6, 3e-6], dtype=torch.float64)


class OpenLine(BareArray):
    """Cells are unmeasured from a number of reads on; pulses are noted."""

    def __init__(self, unmeasured: set[int], *, after: int) -> None:
        super().__init__(rows=1, cols=6, g_step=STEP)
        self.unmeasured, self.after, self.n_reads, self.pulsed = unmeasured, after, 0, [0] * 6

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """As the array's, with NaN for the cells of the open line."""
        self.n_reads += 1
        g = super().readout(cells)
        bad = torch.tensor([int(cell) in self.unmeasured for cell in cells.flatten()]).view(cells.shape)
        return g.masked_fill(bad, torch.nan) if self.n_reads > self.after else g

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """As the array's, for every amplitude."""
        n = torch.ones_like(cells) if pulse.n is None else pulse.n
        for cell, count in zip(cells.tolist(), (n * pulse.polarity.abs()).tolist(), strict=True):
            self.pulsed[cell] += int(count)
        super().pulse(cells, pulse._replace(v=None))


@pytest.mark.parametrize("after", [0, 1], ids=["from the first read", "from the second read"])
@pytest.mark.parametrize("name", SCHEMES)
def test_one_cell_fails_and_the_others_are_written(name: str, after: int) -> None:
    array, write = OpenLine({3}, after=after), SCHEMES[name]
    assert isinstance(write, Write)
    report = write(array, CELLS, TARGETS)
    assert report.converged.tolist() == [True, True, False, True]
    assert report.error[2].isnan()
    assert float(report.error[[0, 1, 3]].abs().max()) <= 0.3e-6
    assert report.n_pulses.tolist() == [array.pulsed[cell] for cell in CELLS.tolist()]
    if after == 0:
        assert report.n_pulses[2] == 0


@pytest.mark.parametrize("name", SCHEMES)
def test_no_cell_that_could_be_measured_is_an_error_before_the_first_pulse(name: str) -> None:
    array = OpenLine(set(range(6)), after=0)
    with pytest.raises(
        WriteStoppedError, match=r"after 0 pulses .*OpenLine.readout` must return finite numbers, but all 4 are NaN"
    ):
        SCHEMES[name](array, CELLS, TARGETS)
    assert array.pulsed == [0] * 6


def test_a_compensated_write_needs_every_cell_of_the_array() -> None:
    array = OpenLine({2}, after=0)  # not one of those written, but on their wires
    write = CompensatedWrite(write=FINE, wires=Wires(r_row=1.0, r_col=1.0))
    with pytest.raises(OutOfRangeError, match=r"OpenLine.readout` must return finite numbers, but 1 of 6 are NaN"):
        write(array, CELLS, TARGETS)
    assert array.pulsed == [0] * 6
