"""What an array did, counted: reads, conversions, pulses, readouts and waiting, by phase and layer."""
