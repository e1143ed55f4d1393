r"""Exact elimination of the wires of a crossbar, which leaves one conductance matrix.

A crossbar of linear cells, wires, drivers and sense resistors is a linear circuit, so its column currents are
`v_row @ g_eff` for some matrix. This module computes that matrix; a read then costs one matrix product.

*Lines.* Take the wires of one direction, the *lines*, with their cells (conductances :math:`G = diag(g)`). A line
whose terminal is at v and whose cells' other ends are at the voltages c carries the cell currents

.. math:: i = Y (v 1 - c), \qquad Y = (G^{-1} + R)^{-1} = G - G Z G,

R being the ladder's resistance matrix (`ladder`) and Z the resistance matrix of the same wire with the cells as
grounded loads. Z is the inverse of a tridiagonal matrix and hence semi-separable: with the voltage transfers
:math:`t_j = v_{j+1} / v_j` of a wave from the left and :math:`t'_j = v_j / v_{j+1}` of one from the right,

.. math:: Z_{jk} = \sqrt{Z_{jj} Z_{kk}}\, e^{-|H_j - H_k|}, \qquad H_{j+1} - H_j = -\tfrac12 \log t_j t'_j,

because Z is symmetric and :math:`Z_{jk} = Z_{jj} t_j \cdots t_{k-1} = Z_{kk} t'_{k-1} \cdots t'_j`. Only sums and
products of positive numbers occur. So no digits cancel, and zero conductances and zero resistances need no special
case.

*Chain.* The wires of the other direction, the *chain*, connect line k to k + 1 by one segment r for every cell
position. Number the lines from the chain's terminals, and start the recursion at the far line. Seen from line k, the
circuit beyond is a multiport that draws the currents :math:`P_k c_k` and delivers the source currents :math:`N_k v`.
One segment and one line further on,

.. math:: P_{k-1} = M_k P_k + Y_{k-1}, \quad N_{k-1} = [\,M_k N_k \mid Y_{k-1} 1\,], \quad M_k = (1 + r P_k)^{-1},

with M symmetric, eigenvalues in (0, 1], and equal to 1 for r = 0. Behind the terminal's resistance, :math:`\rho`, the
columns of :math:`(1 + \rho P_0)^{-1} N_0` are the transfer conductances from each line's terminal to the chain's.

Cost: one Cholesky inverse and one and a half products of p x p matrices for each line; p is the number of chain wires.
The circuit is reciprocal, so either direction can be the chain; it runs along the longer side, so p is the shorter one.

Gradient: the same recursion backwards, with :math:`dM = -r M dP M`, :math:`d(MP) = M dP M` and :math:`dY = D^T dG D`,
where :math:`D = (1 + R G)^{-1} = 1 - Z G`.

Source: nodal analysis with block elimination; the arrangement that stays exact at zero resistance is ours.
"""

from typing import Any, NamedTuple, cast

import torch

from ohmweave.circuit.ladder import Line
from ohmweave.circuit.wires import Wires, series_conductance

# Numbers in the matrices of one batch of chips, so that one matrix of each chip stays in a processor's cache.
_CACHED_NUMBERS = 2**16


def effective_conductance(g: torch.Tensor, wires: Wires, *, r_cell: torch.Tensor | float = 0.0) -> torch.Tensor:
    """Conductance matrix of a crossbar between its terminals, wires included.

    Args:
        g: `(*chips, rows, cols)`, S. Cell conductances, all >= 0.
        wires: The resistances around the cells.
        r_cell: Ohm, >= 0. In series with every cell (the selected transistor of a 1T1R cell); broadcasts against `g`.

    Returns:
        `(*chips, rows, cols)`, S, in float64: `i_col = v_row @ g_eff` (A). Differentiable once, with respect to `g`
        and `r_cell`.

    Raises:
        OutOfRangeError: a conductance or resistance is negative or not finite.
        ShapeError: `g` has no rows or columns.

    Valid for: linear cells. Cost: O(long side * short side^3) for each chip; with a gradient, long side * short side^2
    numbers are kept until the backward pass.
    Source: the block elimination of this module's text.
    """
    g = series_conductance(g, r_cell)
    if wires.ideal:
        return g.clone()  # the caller's own tensor may be written to later
    if wires.r_row == wires.r_col == 0 and 0 in (wires.r_driver, wires.r_sense):
        return _behind_one_shared(g, wires)
    rows, cols = g.shape[-2:]
    flat = g.reshape(-1, rows, cols)
    row_line, col_line = wires.row_line(cols), wires.col_line(rows)
    if rows >= cols:
        # Lines: rows, counted from the sense end. Chain: column wires.
        g_eff = _transfer(flat.flip(-2), row_line, col_line).flip(-2)
    else:
        # Lines: columns, counted from the left drivers; their nodes are counted from the sense end. Chain: row wires.
        lines = flat.transpose(-1, -2).flip(-1)
        g_eff = _transfer(lines, col_line, row_line)
        if row_line.two_ended:  # both ends drive: superposition of the left drivers and, mirrored, the right ones
            g_eff = g_eff + _transfer(lines.flip(-2), col_line, row_line).flip(-2)
        g_eff = g_eff.transpose(-1, -2).flip(-2)
    return g_eff.reshape(g.shape)


def _behind_one_shared(g: torch.Tensor, wires: Wires) -> torch.Tensor:
    """`(..., rows, cols)` S behind the drivers or the sense resistances alone, one of which is zero.

    A line's cells then share one resistance r at one end: a voltage v at one of them gives g v / (1 + r sum of g).
    """
    r_driver = wires.row_line(g.shape[-1]).r_near  # drivers at both ends of an ideal wire are parallel
    return g / (1 + r_driver * g.sum(-1, keepdim=True) + wires.r_sense * g.sum(-2, keepdim=True))


def _transfer(g: torch.Tensor, line: Line, chain: Line) -> torch.Tensor:
    """`_Elimination` of `(chips, lines, positions)`, in batches of chips that fit into a processor's cache."""
    chips = len(g)
    if g.device.type == "cpu":
        chips = max(1, _CACHED_NUMBERS // g.shape[-1] ** 2)
    parts = [_Elimination.apply(part, line, chain) for part in g.split(chips)]  # type: ignore[no-untyped-call]
    return torch.cat(cast(list[torch.Tensor], parts))


class _Elimination(torch.autograd.Function):
    """Transfer conductances, line terminals to near chain terminals: `(batch, lines, positions)` to the same shape."""

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, line: Line, chain: Line) -> torch.Tensor:
        ctx.line, ctx.chain = line, chain
        keep: list[torch.Tensor] | None = [] if ctx.needs_input_grad[0] else None
        g_eff, terminal = _eliminate(g, line, chain, keep)
        if keep is not None:
            ctx.save_for_backward(g, terminal, *keep)
        return g_eff

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        g, terminal, *passes = ctx.saved_tensors
        return _adjoint(g, ctx.line, ctx.chain, terminal, passes, grad), None, None


def _eliminate(
    g: torch.Tensor, line: Line, chain: Line, keep: list[torch.Tensor] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The recursion of the module's text; `keep` receives M_k of the lines k = n - 1, ..., 1."""
    n_lines, p = g.shape[-2:]
    loaded = _loaded_lines(g, line)
    eye = torch.eye(p, dtype=g.dtype, device=g.device)
    seen = chain.far_conductance * eye
    # N is stored transposed, the source currents of a line in its row, so that the filled part is contiguous.
    sources = torch.zeros_like(g)
    for k in range(n_lines - 1, -1, -1):
        admittance = loaded.admittance(k)
        if k == n_lines - 1:
            seen = seen + admittance
        else:
            through = _symmetric_inverse(torch.add(eye, seen, alpha=chain.r_segment))
            if keep is not None:
                keep.append(through)
            seen = torch.baddbmm(admittance, seen, through)
            # M N of the text, transposed: M is symmetric.
            sources[:, k + 1 :] = sources[:, k + 1 :] @ through
        sources[:, k] = admittance.sum(-1)
    terminal = _symmetric_inverse(eye + (chain.r_near + chain.r_segment) * seen)
    return sources @ terminal, terminal


def _adjoint(
    g: torch.Tensor,
    line: Line,
    chain: Line,
    terminal: torch.Tensor,
    passes: list[torch.Tensor],
    grad: torch.Tensor,
) -> torch.Tensor:
    """Gradient with respect to `g` of `sum(grad * g_eff)`: the recursion of `_eliminate`, differentiated by hand."""
    n_lines = g.shape[-2]
    loaded = _loaded_lines(g, line)
    r, rho = chain.r_segment, chain.r_near + chain.r_segment

    # C_k: chain voltages at line k for unit voltages at the near terminals; row k of g_eff is (Y_k 1)^T C_k.
    voltages = [terminal]
    for through in reversed(passes):
        voltages.append(through @ voltages[-1])

    # Adjoints of M_k, from the far line inwards: dL = tr(bar(C)^T dC), with C_k = M_k C_{k-1}.
    voltage_bars: list[torch.Tensor] = []
    bar = torch.zeros_like(terminal)
    for k in range(n_lines - 1, -1, -1):
        bar = bar + loaded.admittance(k).sum(-1)[..., :, None] * grad[:, k, None, :]
        voltage_bars.append(bar)
        if k > 0:
            bar = passes[n_lines - 1 - k] @ bar
    voltage_bars.reverse()

    # Adjoint of P_k, from the near line outwards, is that of Y_k as well; then down to the conductances.
    g_bar = torch.empty_like(g)
    seen_bar = -rho * terminal @ voltage_bars[0] @ terminal
    for k in range(n_lines):
        if k > 0:
            through = passes[n_lines - 1 - k]
            seen_bar = through @ (seen_bar - r * (voltage_bars[k] @ voltages[k - 1].mT)) @ through
        source_bar = voltages[k] @ grad[:, k, :, None]
        cell = loaded.cell_voltages(k)
        g_bar[:, k] = ((cell @ (seen_bar + source_bar)) * cell).sum(-1)
    return g_bar


def _symmetric_inverse(matrix: torch.Tensor) -> torch.Tensor:
    # 1 plus a positive semi-definite matrix: the factorization cannot fail, so its (synchronizing) check is left out.
    return torch.cholesky_inverse(torch.linalg.cholesky_ex(matrix, upper=True)[0], upper=True)


class _LoadedLines(NamedTuple):
    """Z of every line in semi-separable form, all `(batch, lines, positions)`; see the module's text."""

    g: torch.Tensor
    share: torch.Tensor  # 1 - g_j Z_jj, the part of a cell's own voltage that stays on it
    root: torch.Tensor  # sqrt(Z_jj)
    decay: torch.Tensor  # H_j

    def _shape(self, k: int) -> torch.Tensor:
        decay = self.decay[:, k]
        return (decay[..., :, None] - decay[..., None, :]).abs_().neg_().exp_()

    def admittance(self, k: int) -> torch.Tensor:
        """Y of line k, `(batch, positions, positions)`."""
        weight = self.g[:, k] * self.root[:, k]
        y = self._shape(k).mul_(weight[..., :, None]).mul_(-weight[..., None, :])
        y.diagonal(dim1=-2, dim2=-1).copy_(self.g[:, k] * self.share[:, k])
        return y

    def cell_voltages(self, k: int) -> torch.Tensor:
        """D of line k: cell voltages caused by unit voltages between the terminal and the cells' other ends."""
        weight = self.g[:, k] * self.root[:, k]
        d = self._shape(k).mul_(self.root[:, k, :, None]).mul_(-weight[..., None, :])
        d.diagonal(dim1=-2, dim2=-1).copy_(self.share[:, k])
        return d


def _loaded_lines(g: torch.Tensor, line: Line) -> _LoadedLines:
    """The lines with cells `g`, `(batch, lines, positions)` S, as grounded loads; one pass from each end."""
    r, n = line.r_segment, line.length
    cells = g.unbind(-1)
    # Resistance towards the near end, and conductance towards the far end, seen by a node without its own cell.
    near = [torch.full_like(cells[0], line.r_near + r)]
    for cell in cells[:-1]:
        near.append(r + near[-1] / (1 + cell * near[-1]))
    far = [torch.full_like(cells[0], line.far_conductance)]
    for cell in cells[:0:-1]:
        beyond = far[-1] + cell
        far.append(beyond / (1 + r * beyond))
    towards_near, towards_far = torch.stack(near, -1), torch.stack(far[::-1], -1)

    # Z_jj without the cell itself: the resistances of both directions in parallel. H_j: the module's text.
    others = towards_near / (1 + towards_near * towards_far)
    share = 1 / (1 + g * others)
    decay = torch.zeros_like(g)
    if r > 0 and n > 1:
        forward = r * (g + towards_far)[..., 1:]
        backward = r * (g + 1 / towards_near)[..., :-1]
        decay[..., 1:] = (0.5 * (torch.log1p(forward) + torch.log1p(backward))).cumsum(-1)
    return _LoadedLines(g, share, (others * share).sqrt(), decay)
