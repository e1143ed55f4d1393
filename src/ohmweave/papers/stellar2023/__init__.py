"""Zhang et al., Science 381, 1205 (2023): sign- and threshold-based learning on a memristor chip (STELLAR)."""
