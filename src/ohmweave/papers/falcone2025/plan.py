"""What Falcone et al. 2025 print about products on a 64 x 64 array, and what is assumed where they print nothing."""

from ohmweave.experiments import Assumption

PAPER = (
    "D. F. Falcone et al., All-in-one analog AI hardware: on-chip training and inference with conductive-metal-oxide/"
    "HfOx ReRAM devices, arXiv:2502.04524 (2025)"
)
SIZE = 64
AGES = {"1 s": 1.0, "1 d": 86400.0, "10 y": 10 * 365.25 * 86400.0}
DAC_BITS, ADC_BITS = 6, 8
R_WIRE = 0.35
"""Ohm a segment, the default of IBM's public aihwkit."""

ASSUMPTIONS = (
    Assumption(
        text="one cell a weight, the weight 0 in the middle of the window; the current of the middle is subtracted "
        "digitally. Two other readings are run beside it",
        source="the public noise model of the authors maps weights to a single device a crosspoint",
    ),
    Assumption(
        text="acceptance range of 0.2 % of the target, the finer of the two; 2 % is run beside it",
        source="the printed 10 nS belong to 0.2 % at the lowest conductance",
    ),
    Assumption(
        text="normally distributed weights, the largest at an end of the window; inputs even between -1 and 1; the "
        "error is the root of the mean square over that of the exact products",
        source="ours; the abstract prints a root-mean-square error against floating point",
    ),
    Assumption(
        text=f"{DAC_BITS}-bit signed inputs, {ADC_BITS}-bit signed outputs over four standard deviations of the "
        f"columns' currents, no wires, no read noise; wires of {R_WIRE} Ohm a cell are run beside",
        source="ours; the paper's simulation has converters and wires, whose resistance we do not know, and no read "
        "noise",
    ),
)
