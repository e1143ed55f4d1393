"""The parts of a design: what the values of a point mean in cells, circuits, mappings and writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ohmweave import cells
from ohmweave.arrays import ADC, DAC, Wires
from ohmweave.base import OutOfRangeError
from ohmweave.cells import Cell
from ohmweave.cost import ComponentCosts, Process, chip_costs
from ohmweave.explore.keys import IN_SITU
from ohmweave.explore.value_kinds import OF_THE_WINDOW
from ohmweave.mapping import Chip, DifferentialPair, WeightMapping
from ohmweave.nn import plan
from ohmweave.programming import WriteVerify

V_READ = 0.2
"""V, of all chips (Yao et al., Nature 577, 641 (2020))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A point of a study, with the files that its names stand for.

    Attributes:
        values: by key, as `settled` returns them.
        files: paths of cells and networks that are files.
    """

    values: Mapping[str, Any]
    files: Mapping[str, Path]

    def __getitem__(self, key: str) -> Any:
        """The value of a key."""
        return self.values[key]

    @property
    def network_file(self) -> Path | None:
        """The file of the network; None for a network of this package."""
        return self.files.get(self["network"])

    @property
    def cell(self) -> Cell:
        """The cell."""
        path = self.files.get(self["cell"])
        return cells.find(self["cell"])() if path is None else cells.load(path)

    @property
    def tolerance(self) -> float:
        """S, of the write."""
        value = self["tolerance"]
        if not isinstance(value, str):
            return float(value)
        cell = self.cell
        return float(value.removesuffix(OF_THE_WINDOW)) * (cell.g_max - cell.g_min)

    @property
    def write(self) -> WriteVerify:
        """The write."""
        return WriteVerify(tolerance=self.tolerance, max_pulses=self["max_pulses"])

    @property
    def wires(self) -> Wires | None:
        """Resistances around the cells; None if all are 0."""
        r_row, r_driver, r_sense = (float(self[name]) for name in ("wire", "driver", "sense"))
        if r_row == r_driver == r_sense == 0:
            return None
        return Wires(r_row=r_row, r_col=r_row, r_driver=r_driver, r_sense=r_sense)

    @property
    def lines(self) -> Literal["columns", "rows"]:
        """Where the two cells of a weight are neighbours."""
        return "rows" if self["lines"] == "rows" else "columns"

    @property
    def mapping(self) -> DifferentialPair:
        """Weights to conductances, of a network that was trained in software."""
        copies = (self["copies"], 1) if self.lines == "rows" else (1, self["copies"])
        return DifferentialPair(levels=self["levels"], lines=self.lines, copies=copies)

    @property
    def costs(self) -> Process:
        """The process, for prices."""
        return Process(node=self["node"], cell_size=self["cell_size"])

    def adc(self, *, signed: bool) -> ADC | None:
        """The column converters; `signed` if currents of both signs reach them."""
        if self["adc_bits"] is None:
            return None
        analogue = self["subtract"] == "analogue"
        return ADC(
            bits=self["adc_bits"],
            columns_per_adc=self["columns_per_adc"],
            signed=signed or analogue or self.lines == "rows",
            subtract="analogue" if analogue else "digital",
        )

    def dac(self, *, signed: bool) -> DAC | None:
        """The row drivers; `signed` if negative inputs reach them."""
        if self["dac_bits"] is None:
            return None
        both = signed or self.lines == "rows"
        # `dac_bits` is of the magnitude, and a sign is a bit more.
        bits = self["dac_bits"] + 1 if both else self["dac_bits"]
        return DAC(bits=bits, v_max=V_READ, signed=both, bit_serial=self["dac"] == "serial")

    def chip(self, n_arrays: int, *, n_chips: int, seed: int, converters: bool = False, signed: bool = False) -> Chip:
        """Chips of `n_arrays`; with `converters`, those of the point, else ideal ones."""
        return Chip(
            self.cell,
            n_arrays=n_arrays,
            rows=self["rows"],
            cols=self["cols"],
            n_chips=n_chips,
            seed=seed,
            v_read=V_READ,
            wires=self.wires,
            adc=self.adc(signed=signed) if converters else None,
            dac=self.dac(signed=signed) if converters else None,
        )

    def n_arrays(self, model: torch.nn.Module, mapping: WeightMapping, *, matrices: int = 1) -> int:
        """Arrays that `model` needs, `matrices` times.

        Raises:
            OutOfRangeError: a layer of the model can neither be placed nor stay digital.
        """
        probe = Chip(self.cell, rows=self["rows"], cols=self["cols"])
        found = plan(model, probe, mapping=mapping)
        kinds = dict(model.named_modules())
        refused = [
            f"{name!r} ({type(kinds[name]).__name__})" if name in kinds else repr(name) for name in found.refused
        ]
        problems = [
            f"its layer {name} cannot be placed: it has parameters and is no layer of torch.nn that a chip knows"
            for name in refused
        ] + list(found.problems)
        if problems:
            raise OutOfRangeError(f"`space.network` must have layers that fit on a chip, but {problems[0]}")
        return matrices * found.n_arrays

    def prices(self, chip: Chip) -> ComponentCosts:
        """The prices of a chip."""
        design = self["adc_design"] or "sar"
        return chip_costs(chip, process=self.costs, adc_design=design)

    @property
    def in_situ(self) -> bool:
        """True if the network learns on the chip."""
        return bool(self["training"] == IN_SITU)
