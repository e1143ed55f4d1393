r"""Noise of the terminal currents of a crossbar whose cells' conductances fluctuate, wires included.

A small change dg of one cell's conductance adds the current dg v to that cell, v being the voltage across it at the
present inputs. The circuit passes a fraction T of it on to the sensed output. The cells are independent, so the
variance of the output o is

.. math:: \sigma_o^2(v) = \sum_k T_{ok}^2 \sigma_k^2 v_k^2, \qquad v_k = \sum_i A_{ki} v_i,

a quadratic form in the inputs, :math:`v^T Q_o v` with :math:`Q_o = \sum_k T_{ok}^2 \sigma_k^2 A_k A_k^T`. The
voltages :math:`v_k` contain the drops that the other driven rows cause on shared resistances. Cells of rows at 0 V
count too: the drop on their column is a voltage across them. The circuit is reciprocal, so :math:`T_{ok}` is the
voltage across cell k with 1 V at the output's terminal and 0 V at all rows.

Both sets of voltages come from one recursion, the *chain* of `elimination`: with the lines (rows) numbered from the
sense end, line k carries the cell currents :math:`Y_k (v_k 1 - c_k)`, where :math:`Y = G D`,
:math:`D = (1 + R G)^{-1}`, and the voltages :math:`c_k` of the column wires follow from

.. math:: c_{k+1} = M_{k+1} (c_k + r N_{k+1} v), \qquad M_k = (1 + r P_k)^{-1};

:math:`D_k (v_k 1 - c_k)` are the voltages across the cells.

Source: first-order propagation of independent errors through the adjoint circuit (S. W. Director and R. A. Rohrer,
IEEE Trans. Circuit Theory 16, 318 (1969)); the recursion is ours.
"""

from typing import NamedTuple

import torch

from ohmweave.base import OutOfRangeError, ShapeError, check_non_negative, check_shape, shown
from ohmweave.circuit.wires import OHMS, Wires, check_conductances, check_numbers, check_wires


class CellTransfers(NamedTuple):
    """Voltages across the cells (transistor included) for 1 V at one terminal, all other terminals at 0 V.

    Attributes:
        from_inputs: `(*chips, rows, cols, n_in)`: A of the module's text.
        from_outputs: `(*chips, rows, cols, n_out)`: T of the module's text, without its sign.
    """

    from_inputs: torch.Tensor
    from_outputs: torch.Tensor


def cell_transfers(
    g: torch.Tensor, wires: Wires, *, drive: torch.Tensor, sense: torch.Tensor, r_cell: float = 0.0
) -> CellTransfers:
    """Voltages across all cells of a crossbar, for a unit at each input and at each output.

    Args:
        g: `(*chips, rows, cols)`, S. Cell conductances, all >= 0.
        wires: the resistances around the cells.
        drive: `(rows, n_in)`: voltage of each row for a unit of each input.
        sense: `(cols, n_out)`: factor of each column's current in each output.
        r_cell: Ohm, >= 0, in series with every cell.

    Returns:
        The voltages, float64. They are across memristor and transistor; the memristor has the fraction
        1 / (1 + g r_cell).

    Raises:
        OutOfRangeError: a conductance is negative or not finite, or another argument is out of range.
        ShapeError: `g` has no rows or columns, or `drive` or `sense` another shape.

    Valid for: linear cells. Cost: two inverses and some products of cols x cols matrices for each row; cols^2 numbers
    are kept for each row.
    """
    check_conductances(g)
    check_wires(wires)
    check_non_negative("r_cell", r_cell, "Ohm", at_most=OHMS)
    for name, factors, n in (("drive", drive, g.shape[-2]), ("sense", sense, g.shape[-1])):
        check_numbers(name, factors, (n, None), whole=True)
    g = g.to(torch.float64)
    line = (g / (1 + g * r_cell)).flip(-2)  # lines numbered from the sense end
    drive, sense = drive.to(g).flip(-2), sense.to(g)
    n_lines, p = line.shape[-2:]
    r = wires.r_col
    eye = torch.eye(p, dtype=g.dtype, device=g.device)
    share = torch.linalg.inv(eye + wires.row_line(p).resistance_matrix(g) * line[..., None, :])  # D
    y = line[..., :, None] * share
    y_sum = y.sum(-1, keepdim=True)
    seen, sent = y[..., -1, :, :], y_sum[..., -1, :, :] * drive[-1]
    steps: list[tuple[torch.Tensor, torch.Tensor]] = []
    for k in range(n_lines - 2, -1, -1):
        m = torch.linalg.inv(eye + r * seen)
        steps.append((m, r * (m @ sent)))
        seen, sent = m @ seen + y[..., k, :, :], m @ sent + y_sum[..., k, :, :] * drive[k]
    r_end = wires.r_sense + r
    end = torch.linalg.inv(eye + r_end * seen)
    from_in, from_out = [r_end * (end @ sent)], [end @ sense]
    for m, source in reversed(steps):
        from_in.append(m @ from_in[-1] + source)
        from_out.append(m @ from_out[-1])
    c_in, c_out = torch.stack(from_in, -3), torch.stack(from_out, -3)
    return CellTransfers((share @ (drive[:, None, :] - c_in)).flip(-3), (share @ c_out).flip(-3))


def noise_forms(transfers: CellTransfers, sigma: torch.Tensor, *, transposed: bool = False) -> torch.Tensor:
    """Quadratic forms of the output noise: the variance of output o is v @ Q[o] @ v.

    Args:
        transfers: of the array.
        sigma: `(*chips, rows, cols)`, S: standard deviation of each cell's conductance, transistor included:
            that of the memristor divided by (1 + g r_cell)^2.
        transposed: True for reads that drive the outputs and sense the inputs.

    Returns:
        `(*chips, n_out, n_in, n_in)`, S^2; `(*chips, n_in, n_out, n_out)` if transposed; of the dtype of `sigma`.

    Raises:
        OutOfRangeError: a number is not finite, or a standard deviation is negative.
        ShapeError: the transfers are of another array than `sigma`.

    Valid for: noise that is small compared with the conductances (first order). Cost: n_out n_in^2 products a cell.
    """
    _check_noise(transfers, sigma)
    driven, sensed = (x.to(sigma.dtype) for x in (reversed(transfers) if transposed else transfers))
    weight = (sensed * sigma[..., None]).square()
    n_in, n_out = driven.shape[-1], sensed.shape[-1]
    form = sigma.new_zeros(*sigma.shape[:-2], n_out * n_in, n_in)
    for row in range(sigma.shape[-2]):  # row by row: the products of all cells would not fit into memory
        v = driven[..., row, :, :]
        weighted = weight[..., row, :, :].mT[..., :, None, :] * v.mT[..., None, :, :]
        form += weighted.flatten(-3, -2) @ v
    return form.view(*sigma.shape[:-2], n_out, n_in, n_in)


def noise_by_pair(transfers: CellTransfers, sigma: torch.Tensor) -> torch.Tensor:
    """Variances of the outputs with one input driven at a time: the diagonals of `noise_forms`.

    Args:
        transfers: of the array.
        sigma: as in `noise_forms`.

    Returns:
        `(*chips, n_in, n_out)`, S^2, float64.

    Raises:
        OutOfRangeError, ShapeError: as in `noise_forms`.
    """
    _check_noise(transfers, sigma)
    driven, sensed = (x.flatten(-3, -2) for x in transfers)
    variance: torch.Tensor = driven.square().mT @ (sensed * sigma.to(sensed).flatten(-2)[..., None]).square()
    return variance


def _check_noise(transfers: CellTransfers, sigma: torch.Tensor) -> None:
    if not isinstance(transfers, CellTransfers):
        raise TypeError(f"`transfers` must be CellTransfers, but is {shown(transfers)}")
    check_numbers("sigma", sigma, (None, None))
    if bool((sigma < 0).any()):
        raise OutOfRangeError(f"`sigma` must be >= 0 S everywhere, but is down to {float(sigma.min())!r}")
    for name, part in transfers._asdict().items():
        check_numbers(f"transfers.{name}", part, (*sigma.shape, None), whole=True)


class FormFactors(NamedTuple):
    """Quadratic forms as a diagonal and a few squares: v @ Q @ v = sum of d_i v_i^2 + sum over m of w_m (F_m . v)^2.

    Attributes:
        diagonal: `(*chips, L, n)`: d of the L forms.
        vectors: `(*chips, L, rank, n)`: F. The rank is 0 where the diagonals are enough.
        weights: `(*chips, L, rank)`: w, of either sign; zero for forms of lower rank.
    """

    diagonal: torch.Tensor
    vectors: torch.Tensor
    weights: torch.Tensor

    @property
    def rank(self) -> int:
        """Number of squares beside the diagonal."""
        return self.vectors.shape[-2]

    def evaluate(self, v: torch.Tensor) -> torch.Tensor:
        """`(*chips, batch, n)` vectors to the values of the forms, `(*chips, batch, L)`, >= 0."""
        if v.dtype != self.diagonal.dtype:
            raise OutOfRangeError(f"`v` must have the dtype of the forms, {self.diagonal.dtype}, but has {v.dtype}")
        check_shape("v", v, (None, self.diagonal.shape[-1]))
        found = v.square() @ self.diagonal.mT
        if self.rank:
            squares = (v @ self.vectors.flatten(-3, -2).mT).square_().unflatten(-1, self.weights.shape[-2:])
            found += (squares * self.weights[..., None, :, :]).sum(-1)
        return found.clamp_(min=0.0)  # rounding can make a form that cancels negative


def factor_forms(forms: torch.Tensor, *, tolerance: float) -> FormFactors:
    """Reduce quadratic forms to what matters of them.

    The forms of a crossbar's noise are nearly diagonal: the drops along a wire change slowly from cell to cell, so that
    a few combinations of the inputs describe them. A sense resistance alone needs two.

    Args:
        forms: `(*chips, L, n, n)`, symmetric and positive semidefinite, as of `noise_forms`.
        tolerance: largest relative error of a value, for any vector.

    Returns:
        The factors.

    Raises:
        OutOfRangeError: `tolerance` is out of range, or the forms are not finite or not positive semidefinite.
        ShapeError: the forms are not square.

    Source: eigenvalues of the form scaled to a diagonal of ones, C = 1 + sum of e_m u_m u_m^T. Leaving a term out
    changes u_m^T C u_m from 1 + e_m to 1, so terms with |e_m| > tolerance * (1 + e_m) are kept. Ours.
    """
    check_non_negative("tolerance", tolerance)
    check_numbers("forms", forms, (None, None, None))
    if forms.shape[-1] != forms.shape[-2] or not forms.shape[-1]:
        raise ShapeError(f"`forms` must have the shape (..., L, n, n), but has {tuple(forms.shape)}")
    diagonal = forms.diagonal(dim1=-2, dim2=-1)
    root = diagonal.clamp(min=0.0).sqrt()
    inverse = torch.where(root > 0, root, torch.inf).reciprocal()  # a semidefinite form has zeros beside a zero
    excess = forms * inverse[..., :, None] * inverse[..., None, :]
    # A number beside the diagonal is at most the geometric mean of the two on it. 4: rounding near underflow.
    if bool((diagonal < 0).any()) or (excess.numel() and not float(excess.abs().max()) <= 4):
        raise OutOfRangeError("`forms` must be positive semidefinite, but a square is negative for some vector")
    excess.diagonal(dim1=-2, dim2=-1).zero_()
    weights, vectors = torch.linalg.eigh(excess)
    weights = torch.where(weights.abs() > tolerance * (1 + weights), weights, 0.0)
    rank = int((weights != 0).sum(-1).amax()) if weights.numel() else 0
    kept = weights.abs().topk(rank, dim=-1).indices
    vectors = vectors.mT.gather(-2, kept[..., None].expand(*kept.shape, vectors.shape[-1])) * root[..., None, :]
    return FormFactors(diagonal.contiguous(), vectors, weights.gather(-1, kept))
