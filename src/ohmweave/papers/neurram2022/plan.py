"""What Wan et al. 2022 print, with the place of each number, and what is assumed where they print nothing."""

from ohmweave.experiments import Assumption

PAPER = "W. Wan et al., A compute-in-memory chip based on resistive random-access memory, Nature 608, 504 (2022)"

TOLERANCE = 1e-6
"""S, half of the acceptance band. Methods."""
MAX_REVERSALS = 30
"""Changes of polarity. Methods."""
V_SET, V_RESET, V_STEP, V_MAX = 1.2, 1.5, 0.1, 3.3
"""V, first amplitudes, growth and end. Public test code of the chip, python/wupdate_control.py."""

WRITE_ASSUMPTIONS = (
    Assumption(
        text="pulse response: steps of 4 uS at 1.8 V (SET) and 2.1 V (RESET), e times as large for 0.2 V more, half of "
        "a step as its scatter from pulse to pulse and 0.3 from cell to cell; steps half and twice as large run beside",
        source="ours; not printed",
    ),
    Assumption(text="targets even over 1 to 40 uS, cells at 1 uS before", source="ours"),
)

GRID_ASSUMPTIONS = (
    Assumption(
        text="350 batches of 128 images (one pass) with Adam from a public float ResNet-20, where the authors train "
        "200 epochs from fresh weights",
        source="ours: what fits on two busy cores; the recipe resumes and takes any number of steps",
    ),
    Assumption(
        text="shortcuts without weights, where the authors have 1 x 1 convolutions; no noise on biases, which the "
        "convolutions have not",
        source="ours: those of the public network",
    ),
    Assumption(
        text="in training with noise the largest weight of a layer is 2.5 standard deviations of its weights",
        source="ours, not tuned",
    ),
    Assumption(text="the first 2,000 test images, five draws of the noise", source="ours"),
)

CHIP_ASSUMPTIONS = (
    *GRID_ASSUMPTIONS,
    *WRITE_ASSUMPTIONS,
    Assumption(
        text="the network trained with 20 % noise; batch norm is digital and not merged into the weights; no tuning of "
        "the network with the chip in the loop, which the authors do",
        source="ours",
    ),
    Assumption(
        text="cores of 128 inputs, each a pair of rows driven with opposite voltages; 8-bit signed converters, whose "
        "range is the largest voltage on 256 training images",
        source="256 x 256 cores and signed outputs as printed; the rest is ours",
    ),
    Assumption(
        text="wires enter as one number, the error of the voltages of a layer's columns at 1 Ohm a segment, not in the "
        "accuracy",
        source="ours; not printed",
    ),
)
