"""What an array did, counted: reads, conversions, pulses, readouts and waiting, in total and by phase and layer."""
