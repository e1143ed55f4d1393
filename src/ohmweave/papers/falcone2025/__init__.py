"""Falcone et al., arXiv:2502.04524 (2025): CMO/HfOx ReRAM for training and inference."""
