"""Wang et al., Nat. Mach. Intell. 1, 434 (2019): in-situ training of a CNN and a ConvLSTM on one memristor array."""
