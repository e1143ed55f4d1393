"""All reads of a simulated array: one function for all cells, converters and wires."""

from collections.abc import Callable
from functools import partial

import torch

from ohmweave.arrays.bank import CellBank, PlacementCache
from ohmweave.arrays.capabilities import ReadScale
from ohmweave.arrays.converters.columns import ColumnConverters
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.reads.converted import ConvertedMatrix
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.noisy_product import noisy_product
from ohmweave.arrays.reads.nonlinear import NonlinearRead
from ohmweave.arrays.reads.patches import by_rows, noisy_convolution
from ohmweave.arrays.reads.prepared_reads import Counted, StepReads
from ohmweave.arrays.reads.seen_cells import SeenCells
from ohmweave.arrays.reads.shared_noise import SharedNoise, tile_forms
from ohmweave.arrays.reads.tile_currents import TilesOf, linear_tiles, nonlinear_tiles
from ohmweave.arrays.writes.wiring import Wiring
from ohmweave.base import NormalStream
from ohmweave.circuit import Wires


class Reader:
    """Reads of a bank of cells, through wires and converters if there are any.

    A read of linear cells is the exact product of voltages and conductances (effective ones with wires); read noise is
    drawn at the outputs.

    Args:
        bank: the cells.
        dac: of the rows; None: any voltage is driven exactly.
        columns: converters of the columns; None: any current is sensed exactly.
        wiring: wires around the cells, or None.
        seed: of the read noise.
    """

    def __init__(
        self,
        bank: CellBank,
        *,
        dac: DAC | None,
        columns: ColumnConverters | None,
        wiring: Wiring | None,
        seed: int,
    ) -> None:
        self.noise = NormalStream(seed, "array", "reads", device=bank.device)
        self.columns, self.dac = columns, dac
        self._bank, self._wiring = bank, wiring
        self.seen = SeenCells(bank, wiring)
        self._nonlinear: NonlinearRead | None = None
        if not bank.cell.is_ohmic:
            wires, r_on = (wiring.wires, wiring.access.r_on) if wiring else (Wires(r_row=0.0, r_col=0.0), 0.0)
            self._nonlinear = NonlinearRead(bank=bank, wires=wires, r_on=r_on, noise=self.noise)
        # Bit-serial reads without an ADC are one product; their variance depends on the code (`DAC.square_table`).
        serial = dac is not None and dac.bit_serial
        like = torch.empty(0, dtype=bank.dtype, device=bank.device)
        self._square_table = dac.square_table(like) if dac is not None and serial and columns is None else None
        self._converted: PlacementCache[ConvertedMatrix] = PlacementCache()

    @property
    def linear(self) -> bool:
        """True if currents are proportional to voltages: linear cells, and no converters at the columns."""
        return self.columns is None and self._nonlinear is None

    def read(
        self,
        row: RowVoltages,
        placement: Placement,
        *,
        geometry: ConvGeometry | None = None,
        scale: ReadScale | None = None,
        transposed: bool = False,
    ) -> torch.Tensor:
        """Read a placement.

        Args:
            row: `(*chips, batch, n_in)`, or with a `geometry` images `(*chips, batch, H, W, C)`; `(*chips, batch,
                n_out)` if transposed.
            placement: of the matrix.
            geometry: if given, every patch of the images is read.
            scale: if given, inputs and outputs are numbers; only if `linear` and without a DAC.
            transposed: True to drive the outputs and sense the inputs; only if `linear`.

        Returns:
            `(*chips, batch, n_out)`, or `(*chips, batch, out H, out W, n_out)`, or `(*chips, batch, n_in)`: A, or
            numbers by the `scale`.
        """
        if geometry is not None and placement.parts and (self.seen.share or not self.linear):
            return self._read_by_group(row, placement, geometry, scale)
        if self.linear:
            return self._read_linear(row, placement, geometry, scale, transposed)
        if geometry is None:
            return self._read_by_vector(row, placement)
        if self.columns is not None:
            converted = self._converted_matrix(placement, self.columns).images
            if converted is not None and converted.is_worth(row.numbers, geometry):
                images = row.of_numbers(row.numbers.view(self._bank.n_sets, *row.numbers.shape[-4:]))
                i_out = converted.read(images, geometry, noise=self.noise, record=self.columns.record_of(placement))
                return i_out if self._bank.chip_shape else i_out[0]
        return by_rows(row.numbers, geometry, lambda rows: self._read_by_vector(row.of_numbers(rows), placement))

    def _read_linear(
        self,
        row: RowVoltages,
        placement: Placement,
        geometry: ConvGeometry | None,
        scale: ReadScale | None,
        transposed: bool,
    ) -> torch.Tensor:
        """`read` where currents are proportional to voltages: one product for the mean, one for the variance."""
        kept = self.seen.kept(placement)
        g, variance = self.seen.unshared(placement)
        half: Callable[[], torch.Tensor] | None = kept.half_variance
        if transposed:
            g, variance, half = g.mT, None if variance is None else variance.mT, lambda: kept.half_variance().mT
        if (shared := self.seen.shared_noise(placement, transposed)) is not None:
            if shared.coupled:
                row = RowVoltages(row.v) if transposed else row
                return self._read_with_shared_noise(row, g, shared, geometry, scale)
            variance, half = shared.diagonal.view(g.shape), None
        # Columns have no DAC, and a variance by code is needed only with one: all else is plain volts.
        if variance is None or self._square_table is None or transposed:
            if geometry is not None and row.v_per_number != 1.0:
                # Codes instead of volts: the matrix is smaller than the images, so the volts of a code go there.
                g = g * row.v_per_number
                variance = None if variance is None else variance * row.v_per_number**2
                row = RowVoltages(row.numbers)
            else:
                row = RowVoltages(row.v)
        if geometry is None:
            factor = 1.0 if scale is None else 1 / scale.s_per_w
            return noisy_product(row, g, variance, noise=self.noise, square=self._square, factor=factor, half=half)
        if scale is not None:  # scale the matrix, which is smaller than images and outputs
            g = g / scale.s_per_w
            variance = None if variance is None else variance / scale.s_per_w**2
        groups = placement.groups
        return noisy_convolution(row, g, variance, geometry, groups=groups, noise=self.noise, square=self._square)

    def steps(self, placement: Placement, scale: ReadScale, limit: float, counted: Counted) -> StepReads | None:
        """Prepared reads of vectors, see `StepReads`; None off the CPU and where cells share resistances."""
        bank = self._bank
        if self.seen.share or bank.device.type != "cpu":
            return None
        g, variance = self.seen.unshared(placement)
        half = self.seen.kept(placement).half_variance
        return StepReads(g, variance, half, self.noise, 1 / scale.s_per_w, limit, bank, bank.version, counted)

    def _read_by_group(
        self, row: RowVoltages, placement: Placement, geometry: ConvGeometry, scale: ReadScale | None
    ) -> torch.Tensor:
        """Patches of images, for outputs in groups: each group of tiles is read with its own channels."""
        channels = row.numbers.chunk(placement.groups, dim=-1)
        found = [
            self.read(row.of_numbers(own), part, geometry=geometry, scale=scale)
            for own, part in zip(channels, placement.parts, strict=True)
        ]
        return torch.cat(found, dim=-1)

    def _read_with_shared_noise(
        self,
        row: RowVoltages,
        g: torch.Tensor,
        shared: SharedNoise,
        geometry: ConvGeometry | None,
        scale: ReadScale | None,
    ) -> torch.Tensor:
        """`read` of linear cells where the variances depend on all voltages together."""

        def read_rows(numbers: torch.Tensor) -> torch.Tensor:
            part = row.of_numbers(numbers)
            return self.noise.add_(part.v @ g, shared.variance(part))

        i_out = read_rows(row.numbers) if geometry is None else by_rows(row.numbers, geometry, read_rows)
        return i_out if scale is None else i_out.mul_(1 / scale.s_per_w)

    def _square(self, row: RowVoltages) -> torch.Tensor:
        return row.square(None if row.dac is None else self._square_table)

    def _read_by_vector(self, row: RowVoltages, placement: Placement) -> torch.Tensor:
        """Vectors `(*chips, batch, n_in)` to `(*chips, batch, n_out)` A, of non-linear cells or through converters."""
        numbers = row.numbers
        per_chip = row.of_numbers(numbers.view(self._bank.n_sets, *numbers.shape[-2:]))
        if self.columns is not None:
            converted, record = self._converted_matrix(placement, self.columns), self.columns.record_of(placement)
            images = converted.images
            if images is not None and images.is_worth_vectors(per_chip.numbers):
                i_out = images.read_vectors(per_chip, noise=self.noise, record=record)
            else:
                i_out = converted.read(per_chip, noise=self.noise, record=record)
        else:
            assert self._nonlinear is not None
            i_out = self._nonlinear.placement(per_chip, placement)
        return i_out.view(*numbers.shape[:-1], placement.n_out) if not self._bank.chip_shape else i_out

    def _converted_matrix(self, placement: Placement, columns: ColumnConverters) -> ConvertedMatrix:
        # Matrices of non-linear cells hold no conductances, so they need not be renewed when cells change.
        version = (self._bank.version if self._nonlinear is None else 0, columns.version)
        return self._converted.get(
            placement,
            version,
            lambda: ConvertedMatrix(placement, self._tiles_of(placement), columns=columns, dac=self.dac),
        )

    def _tiles_of(self, placement: Placement) -> TilesOf:
        """The currents at the columns of a placement's tiles."""
        if self._nonlinear is not None:
            return nonlinear_tiles(placement, self._nonlinear.tile)
        cells = self._bank.cells(placement).view(self._bank.n_sets, *placement.cells.shape)
        if (wiring := self._wiring) is not None and self.seen.share:
            forms = partial(tile_forms, self._bank, wiring, placement)
            return linear_tiles(placement, self.seen.effective(cells)[0], forms=forms)
        g, sigma = self.seen.at(cells)
        return linear_tiles(placement, g, None if sigma is None else sigma.square())

    def readout(self, cells: torch.Tensor, *, one_by_one: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Measure cells, `(k,)`.

        Args:
            cells: int64 addresses.
            one_by_one: True to measure each cell alone, in series with its path; False for effective conductances.

        Returns:
            The measured conductances with their noise, and the true ones, both `(k,)` S.
        """
        true, sigma = self._bank.conductance_at(cells)
        g = true
        if self._wiring is not None:
            g, sigma = self.seen.alone(cells, true, sigma) if one_by_one else self.seen.at(cells)
        if sigma is not None:
            g = torch.addcmul(g, sigma, self.noise.like(g))
        return g, true
