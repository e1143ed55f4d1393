"""Figures of physical things: floor plans, voltages, weights. Rows of experiments are drawn by the experiments."""

from memweave.plot.floor_plan import floor_plan

__all__ = ["floor_plan"]
