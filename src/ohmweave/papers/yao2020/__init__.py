"""Yao et al., Nature 577, 641 (2020): a fully hardware-implemented memristor CNN."""
