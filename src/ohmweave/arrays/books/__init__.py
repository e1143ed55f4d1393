"""Counters of an array: reads, conversions, pulses, readouts and waiting, in total and by phase and layer."""
