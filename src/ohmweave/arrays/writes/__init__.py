"""How single cells are reached for programming, and what the wires leave of a pulse."""
