"""The slow, obvious referee: every node of the crossbar written out, Kirchhoff's current law, one dense solve.

Zero resistances become merged nodes, so the exact limits can be compared as well. Nothing here is shared with the
package except the `Wires` description itself.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from ohmweave.circuit import Wires


class Nodal(NamedTuple):
    i_col: np.ndarray  # A, into the sense ends
    v_row_wire: np.ndarray
    v_col_wire: np.ndarray
    i_left: np.ndarray  # A, out of the left drivers
    i_right: np.ndarray


class Netlist:
    """Resistors between named nodes, some of which are held at a voltage."""

    def __init__(self) -> None:
        self.resistors: list[tuple[str, str, float]] = []
        self.held: dict[str, float] = {}
        self.merged: dict[str, str] = {}

    def name(self, node: str) -> str:
        while node in self.merged:
            node = self.merged[node]
        return node

    def resistor(self, a: str, b: str, ohm: float) -> None:
        if ohm == 0:
            a, b = self.name(a), self.name(b)
            if a != b:
                if a in self.held:  # keep the held name as the representative
                    a, b = b, a
                self.merged[a] = b
        else:
            self.resistors.append((a, b, 1 / ohm))

    def conductor(self, a: str, b: str, siemens: float) -> None:
        self.resistors.append((a, b, siemens))

    def solve(self) -> dict[str, float]:
        edges = [(self.name(a), self.name(b), s) for a, b, s in self.resistors]
        held = {self.name(node): volt for node, volt in self.held.items()}
        names = sorted({n for a, b, _ in edges for n in (a, b)} - set(held))
        index = {n: i for i, n in enumerate(names)}
        i, j, value = [], [], []
        rhs = np.zeros(len(names))
        for a, b, s in edges:
            for this, other in ((a, b), (b, a)):
                if this not in index:
                    continue
                i.append(index[this])
                j.append(index[this])
                value.append(s)
                if other in index:
                    i.append(index[this])
                    j.append(index[other])
                    value.append(-s)
                else:
                    rhs[index[this]] += s * held[other]
        matrix = coo_matrix((value, (i, j)), shape=(len(names), len(names))).tocsc()
        volts = splu(matrix).solve(rhs) if names else rhs
        solved = dict(zip(names, volts, strict=True)) | held
        return {n: solved[self.name(n)] for n in {*solved, *self.merged}}


def nodal(g: np.ndarray, v_row: np.ndarray, wires: Wires) -> Nodal:
    """Node voltages and end currents of one crossbar `(rows, cols)` read with `v_row` `(rows,)`."""
    rows, cols = g.shape
    net = Netlist()
    both = wires.driven_from == "both"
    for i in range(rows):
        net.held[f"left{i}"] = float(v_row[i])
        if both:
            net.held[f"right{i}"] = float(v_row[i])
    for j in range(cols):
        net.held[f"ground{j}"] = 0.0
    for i in range(rows):
        net.resistor(f"left{i}", f"pad{i}", wires.r_driver)
        net.resistor(f"pad{i}", f"r{i},0", wires.r_row)
        for j in range(1, cols):
            net.resistor(f"r{i},{j - 1}", f"r{i},{j}", wires.r_row)
        if both:
            net.resistor(f"right{i}", f"far{i}", wires.r_driver)
            net.resistor(f"far{i}", f"r{i},{cols - 1}", wires.r_row)
    for j in range(cols):
        for i in range(1, rows):
            net.resistor(f"c{i - 1},{j}", f"c{i},{j}", wires.r_col)
        net.resistor(f"c{rows - 1},{j}", f"bottom{j}", wires.r_col)
        net.resistor(f"bottom{j}", f"ground{j}", wires.r_sense)
    for i in range(rows):
        for j in range(cols):
            net.conductor(f"r{i},{j}", f"c{i},{j}", float(g[i, j]))
    volts = net.solve()
    v_row_wire = np.array([[volts[f"r{i},{j}"] for j in range(cols)] for i in range(rows)])
    v_col_wire = np.array([[volts[f"c{i},{j}"] for j in range(cols)] for i in range(rows)])
    i_cell = g * (v_row_wire - v_col_wire)
    i_row = i_cell.sum(1)
    if both and wires.r_row > 0:
        last = v_row_wire[:, -1]
        i_right = (np.asarray(v_row) - last) / (wires.r_driver + wires.r_row)
    else:
        i_right = np.zeros(rows) if not both else i_row / 2
    return Nodal(i_cell.sum(0), v_row_wire, v_col_wire, i_row - i_right, i_right)


def nodal_matrix(g: np.ndarray, wires: Wires) -> np.ndarray:
    """Effective conductance matrix, one nodal solution for each row."""
    return np.stack([nodal(g, unit, wires).i_col for unit in np.eye(g.shape[0])])
