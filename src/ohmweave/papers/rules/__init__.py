"""On-chip learning rules side by side: the same network, chips, data and bill."""
