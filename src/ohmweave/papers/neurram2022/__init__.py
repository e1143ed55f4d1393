"""Wan et al., Nature 608, 504 (2022): NeuRRAM, 48 cores of 256 x 256 RRAM cells with voltage-mode sensing."""
