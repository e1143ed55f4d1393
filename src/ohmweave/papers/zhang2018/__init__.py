"""Zhang et al., Neural Networks 108, 217 (2018): sign backpropagation, reconstructed from its abstract."""
