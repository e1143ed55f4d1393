"""Prices of converters and of chips as they are built."""

from typing import Any

import ohmweave as ow
from ohmweave import cost
from ohmweave.arrays import ADC, DAC
from tests.fuzz.runner import Call, Case


def _chip() -> ow.Chip:
    dac, adc = DAC(bits=4, v_max=0.2, bit_serial=True), ADC(bits=6)
    return ow.Chip(ow.cells.yao2020(), rows=8, cols=8, dac=dac, adc=adc)


def _figures(price: cost.ConverterPrice) -> Any:
    return [price.energy, price.area, price.duration]


def _listed(costs: cost.ComponentCosts) -> Any:
    return [costs.t_read, costs.cell_area, *(part.energy for part in costs.components)]


CHIP_COSTS: dict[str, Case] = {
    "cost.adc_price": lambda: Call(
        function=cost.adc_price, arguments={"bits": 8, "design": "sar"}, use=_figures, negative=False
    ),
    "cost.dac_price": lambda: Call(function=cost.dac_price, arguments={"bits": 8}, use=_figures, negative=False),
    "cost.Process": lambda: Call(
        function=cost.Process,
        arguments={"node": 65e-9, "cell_size": 12.0, "wire_capacitance": 0.2e-9, "t_settle": 5e-8},
        use=lambda process: _listed(cost.chip_costs(_chip(), process=process)),
        negative=False,
    ),
    "cost.chip_costs": lambda: Call(
        function=cost.chip_costs,
        arguments={"chip": _chip(), "process": cost.Process(), "adc_design": "sar", "t_pulse": 5e-8},
        use=_listed,
        negative=False,
    ),
}
