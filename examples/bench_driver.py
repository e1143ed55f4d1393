"""A driver for an invented board, checked, limited, recorded, and with a network on it.

Runs offline: the board is simulated here. Untested without hardware: the timing, noise and limits of a real board.
Run it with `python examples/bench_driver.py`.
"""

import math
import tempfile
from pathlib import Path

import torch

import ohmweave as ow
from ohmweave.bench import Board, Driver, DriverArray, Limited, Limits, Recorded, Replayed, check_array


class Firmware:
    """The invented board: 16 x 12 cells; it works in mV, nA and us, and knows only its registers."""

    def __init__(self) -> None:
        self.g_ns = torch.full((16, 12), 2_000.0, dtype=torch.float64)
        self.row_mv = [0.0] * 16

    def measure_na(self, col: int) -> float:
        """The current of one column."""
        return sum(1e-3 * mv * g for mv, g in zip(self.row_mv, self.g_ns[:, col].tolist(), strict=True))

    def fire(self, row: int, col: int, mv: float, us: float) -> None:
        """A pulse of +1,500 or -1,200 mV and 1 us changes a cell by 100 nS."""
        if us >= 1 and (mv >= 1_500 or mv <= -1_200):
            self.g_ns[row, col] = (self.g_ns[row, col] + math.copysign(100, mv)).clamp(2_000, 20_000)


# driver
class FirmwareDriver(Driver):
    """The page that a team writes: from V, A and s to the words of the board."""

    board = Board(
        rows=16, cols=12, g_min=2e-6, g_max=20e-6, v_read=0.2, v_set=1.5, v_reset=1.2, t_set=1e-6, t_reset=1e-6
    )

    def __init__(self, firmware: Firmware) -> None:
        self.firmware = firmware
        self.rows, self.cols = [], []

    def select(self, array, rows, cols):
        """Only lines that are driven later differ from 0 V on this board."""
        self.ground()
        self.rows, self.cols = list(rows), list(cols)

    def apply(self, v):
        """V to mV."""
        for row, volts in zip(self.rows, v, strict=True):
            self.firmware.row_mv[row] = 1e3 * volts

    def sense(self):
        """NA to A."""
        return [1e-9 * self.firmware.measure_na(col) for col in self.cols]

    def pulse(self, v, width):
        """V and s to mV and us."""
        self.firmware.fire(self.rows[0], self.cols[0], 1e3 * v, 1e6 * width)

    def ground(self):
        """All rows at 0 V; the columns always are."""
        self.firmware.row_mv = [0.0] * 16


# end of the driver


def main() -> None:
    """Check the driver, then write, read and replay a network."""
    print(check_array(FirmwareDriver(Firmware()), corner=(0, 0, 0), max_pulses=1_000))

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    x, write = torch.randn(5, 12), ow.WriteVerify(tolerance=0.1e-6)
    limits = Limits(v_max=1.5, v_read_max=0.2, t_max=1e-6, pulses_per_cell=2_000)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "board.log"
        with Recorded(DriverArray(FirmwareDriver(Firmware())), log) as recorded, Limited(recorded, limits) as array:
            net = ow.deploy(model, ow.Chip(array=array), write=write)
            on_board = net(x).detach()
        again = ow.deploy(model, ow.Chip(array=Limited(Replayed(log), limits)), write=write)
        assert torch.equal(again(x).detach(), on_board)
        print(f"{array.books.activity}\nthe replay of {log.stat().st_size:,} bytes gives the same outputs")
    print(f"largest error of an output: {float((on_board - model(x).detach()).abs().max()):.3f}")


if __name__ == "__main__":
    main()
