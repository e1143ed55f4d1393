"""Le et al., IEEE Trans. Electron Devices 68, 4397 (2021): write-verify of several bits a cell on two RRAM chips."""
