"""Nodal analysis of a crossbar: nodes, branches, and one sparse linear solve for given cell conductances.

A node is a point of a wire at a cell. Branches are the cells, the wire segments between neighbouring nodes, and the
resistances from the ends of the wires to their sources. Kirchhoff's current law at the free nodes, G x = i, is solved
for the node voltages x; the nodes of all chips are one block-diagonal matrix.

Source: nodal analysis, as in any textbook.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from ohmweave.base import ConvergenceError, OutOfRangeError, ShapeError
from ohmweave.circuit.bias import Bias, LineEnd
from ohmweave.circuit.wires import Wires

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
Index = np.ndarray[Any, np.dtype[np.intp]]


class End(NamedTuple):
    """The ends of all lines on one side of the arrays, each field `(chips, lines)`."""

    node: Index  # the node at the end of each line
    v: FloatArray  # V, of the source
    r: FloatArray  # Ohm, from the source to the wire, without the first segment
    conductance: FloatArray  # S, from the source to the node, segment included; 0 if open, or if the end holds the node
    holds: np.ndarray[Any, np.dtype[np.bool_]]  # True if there is no resistance between the source and the node


class Network:
    """Nodes and branches of `(chips, rows, cols)` cells with their wires and line ends.

    A wire without resistance is one node. A node without resistance to a source is held at the source's voltage; the
    others are free, and Kirchhoff's current law is solved for them.

    Attributes:
        size: number of nodes of all chips.
        row_node, col_node: `(chips, rows, cols)`, the two nodes of each cell.
        held: `(size,)` bool, nodes held at a voltage.
        v_held: `(size,)` V, their voltages; 0 for the others.
        left, right, top, bottom, ends: the line ends of each side, and all four in this order.

    Raises:
        OutOfRangeError: two ends hold one ideal wire at different voltages.
        ShapeError: the voltages or resistances of an end don't fit the array.
    """

    def __init__(self, shape: tuple[int, int, int], bias: Bias, wires: Wires) -> None:
        chips, rows, cols = shape
        if min(shape) < 1:
            raise ShapeError(f"`shape` must have at least one chip, row and column, but is {shape}")
        row_nodes = np.arange(chips * rows * (cols if wires.r_row > 0 else 1)).reshape(chips, rows, -1)
        col_nodes = np.arange(chips * cols * (rows if wires.r_col > 0 else 1)).reshape(chips, -1, cols) + row_nodes.size
        self.size = row_nodes.size + col_nodes.size
        self.row_node: Index = np.broadcast_to(row_nodes, shape)
        self.col_node: Index = np.broadcast_to(col_nodes, shape)
        self._segments = [
            (row_nodes[:, :, :-1], row_nodes[:, :, 1:], wires.r_row),
            (col_nodes[:, :-1], col_nodes[:, 1:], wires.r_col),
        ]
        self.held = np.zeros(self.size, dtype=bool)
        self.v_held = np.zeros(self.size)
        self.left = self._end("left", bias.left, row_nodes[:, :, 0], wires.r_row)
        self.right = self._end("right", bias.right, row_nodes[:, :, -1], wires.r_row)
        self.top = self._end("top", bias.top, col_nodes[:, 0], wires.r_col)
        self.bottom = self._end("bottom", bias.bottom, col_nodes[:, -1], wires.r_col)
        self.ends = (self.left, self.right, self.top, self.bottom)

    def _end(self, side: str, end: LineEnd, node: Index, r_segment: float) -> End:
        v = _broadcast(f"{side}.v", end.v, node.shape)
        r = _broadcast(f"{side}.r", end.r, node.shape)
        r_total = r + r_segment
        holds = r_total == 0
        conflict = holds & self.held[node] & (self.v_held[node] != v)
        if conflict.any():
            line = int(np.argwhere(conflict)[0, -1])
            raise OutOfRangeError(f"line {line} is held at two different voltages with no resistance between them")
        # A second end at the same voltage changes nothing. How the current divides between the two is undefined; the
        # first carries it all.
        holds &= ~self.held[node]
        self.held[node[holds]] = True
        self.v_held[node[holds]] = v[holds]
        conductance = np.where(r_total > 0, 1 / np.where(r_total > 0, r_total, 1.0), 0.0)
        return End(node, v, r, conductance, holds)

    def _branches(self, g: FloatArray) -> tuple[Index, Index, FloatArray]:
        """First node, second node and conductance, S, of all cells and wire segments."""
        start, stop, value = [self.row_node.ravel()], [self.col_node.ravel()], [g.ravel()]
        for a, b, r in self._segments:
            if a.size:
                start.append(a.ravel())
                stop.append(b.ravel())
                value.append(np.full(a.size, 1 / r))
        return np.concatenate(start), np.concatenate(stop), np.concatenate(value)

    def inflow(self, x: FloatArray) -> FloatArray:
        """A, into each node from the ends that do not hold it, at the node voltages `x`."""
        total = np.zeros(self.size)
        for end in self.ends:
            np.add.at(total, end.node, end.conductance * (end.v - x[end.node]))
        return total

    def outflow(self, x: FloatArray, i_cell: FloatArray) -> FloatArray:
        """A, out of each node through the wires and cells, at the node voltages `x` and cell currents."""
        total = np.zeros(self.size)
        # `add.at`, not `+=`: all cells of a wire without resistance share one node.
        np.add.at(total, self.row_node, i_cell)
        np.subtract.at(total, self.col_node, i_cell)
        for a, b, r in self._segments:
            if a.size:
                current = (x[a] - x[b]) / r
                np.add.at(total, a, current)
                np.subtract.at(total, b, current)
        return total

    def end_currents(self, end: End, x: FloatArray, i_cell: FloatArray) -> FloatArray:
        """A, `(chips, lines)`, into the array through the ends of one side."""
        missing = self.outflow(x, i_cell) - self.inflow(x)
        current: FloatArray = end.conductance * (end.v - x[end.node])
        return np.where(end.holds, missing[end.node], current)

    def v_cell(self, x: FloatArray) -> FloatArray:
        """V, `(chips, rows, cols)`, row node minus column node."""
        difference: FloatArray = x[self.row_node] - x[self.col_node]
        return difference

    def segment_power(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """W, `(chips,)`, in the segments between cells of the row wires and of the column wires."""
        rows, cols = (
            (((x[a] - x[b]) ** 2).sum((1, 2)) / r) if r > 0 else np.zeros(len(a)) for a, b, r in self._segments
        )
        return rows, cols

    def rounding_current(self) -> float:
        """A: the error of a current that rounding of the node voltages causes, in the branch that conducts best."""
        conductances = [1 / r for a, _, r in self._segments if a.size] + [end.conductance.max() for end in self.ends]
        voltages = [np.abs(end.v).max() for end in self.ends]
        return float(8 * np.finfo(np.float64).eps * max(conductances) * max(voltages))

    def solve(self, g: FloatArray, i_offset: FloatArray | None = None) -> FloatArray:
        """Node voltages if the cell currents are `g * v_cell + i_offset`.

        Args:
            g: `(chips, rows, cols)`, S.
            i_offset: same shape, A; None: 0.

        Returns:
            `(size,)`, V.

        Raises:
            ConvergenceError: conductances so far apart that the factorization breaks down.
            OutOfRangeError: a line is connected to no driven one, so that its voltage is undefined.
        """
        start, stop, value = self._branches(g)
        diagonal = np.zeros(self.size)
        rhs = np.zeros(self.size)
        for end in self.ends:
            np.add.at(diagonal, end.node, end.conductance)
            np.add.at(rhs, end.node, end.conductance * end.v)
        self._check_connected(start, stop, value, self.held | (diagonal > 0))
        if i_offset is not None:
            np.subtract.at(rhs, self.row_node, i_offset)
            np.add.at(rhs, self.col_node, i_offset)
        own = np.arange(self.size)
        matrix = csc_matrix(
            coo_matrix(
                (
                    np.concatenate([diagonal, value, value, -value, -value]),
                    (np.concatenate([own, start, stop, start, stop]), np.concatenate([own, start, stop, stop, start])),
                ),
                shape=(self.size, self.size),
            )
        )
        free = np.flatnonzero(~self.held)
        x = self.v_held.copy()
        if free.size:
            equations = matrix[free]
            known = equations @ self.v_held  # currents from the held nodes go to the right-hand side
            symmetric = {"SymmetricMode": True}
            try:
                # Symmetric and diagonally dominant: a fill-reducing order of columns, and no pivoting.
                factors = splu(equations[:, free], permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
            except RuntimeError as error:
                raise ConvergenceError(
                    f"conductances from {g.min()} to {g.max()} S leave no digits: {error}"
                ) from error
            x[free] = factors.solve(rhs[free] - known)
        return x

    def _check_connected(self, start: Index, stop: Index, value: FloatArray, anchored: Any) -> None:
        """Raise if a node has no path to an `anchored` node: the matrix would be singular there.

        One extra node, `ground`, is joined to all anchored ones; every node must be in its component.
        """
        conducting = value > 0
        ground = self.size
        anchors = np.flatnonzero(anchored)
        a = np.concatenate([start[conducting], anchors])
        b = np.concatenate([stop[conducting], np.full(anchors.size, ground)])
        graph = coo_matrix((np.ones(a.size), (a, b)), shape=(ground + 1, ground + 1))
        _, label = connected_components(graph, directed=False)
        lost = np.flatnonzero(label[:ground] != label[ground])
        if lost.size:
            on_row = np.argwhere(self.row_node == lost[0])
            where = on_row if on_row.size else np.argwhere(self.col_node == lost[0])
            chip, row, col = (int(n) for n in where[0])
            line = f"row {row}" if on_row.size else f"column {col}"
            raise OutOfRangeError(
                f"{line} of chip {chip} floats and nothing conducts from it to a driven line: its voltage is undefined"
            )


def _broadcast(name: str, value: torch.Tensor | float, shape: tuple[int, ...]) -> FloatArray:
    """`value` as `(chips, lines)` float64 on the CPU."""
    if isinstance(value, torch.Tensor):
        array = value.detach().to("cpu", torch.float64).numpy()
    else:
        array = np.asarray(value, dtype=np.float64)
    try:
        if array.ndim > 1:
            return array.reshape(shape)
        return np.broadcast_to(array, shape)
    except ValueError as error:
        raise ShapeError(
            f"`{name}` must be a number or have the shape (*chips, {shape[-1]}), but has {array.shape}"
        ) from error
