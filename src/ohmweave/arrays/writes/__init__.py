"""Programming of single cells: selection, and the effect of the wires on pulses."""
