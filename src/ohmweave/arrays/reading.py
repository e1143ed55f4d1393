"""Reads of any array, in volts within its read voltage, by the fastest way that the array offers."""

import warnings
from weakref import WeakKeyDictionary

import torch

from ohmweave.arrays.capabilities import PatchReads, ReadScale, ScaledReads
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.protocol import Array
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.patches import by_rows
from ohmweave.arrays.simulated import SimulatedArray
from ohmweave.base import OutOfRangeError, ShapeError


def read_vectors(
    array: Array, v: torch.Tensor, placement: Placement, scale: ReadScale | None = None, *, within: bool = False
) -> torch.Tensor:
    """Read an array with every vector of a batch.

    Args:
        array: any array.
        v: `(*chips, batch, n_in)` V; numbers, if a `scale` is given.
        placement: of the matrix.
        scale: if given, `v` and the result are numbers; only for an array with homogeneous `ScaledReads`.
        within: True if `v` is within the read voltage by construction; it is then neither clamped nor searched.

    Returns:
        `(*chips, batch, n_out)` A, or numbers.

    Raises:
        OutOfRangeError: a scale is given, but the array takes volts only.
    """
    if scale is not None:
        return _scaled(array).read_scaled(_within_scale(v, array, placement, scale), placement, scale)
    within = within or not _is_cut(v, array, placement)
    i_out = array.read(_within(v, array, within=within), placement)
    return _checked("read", i_out, (*v.shape[:-1], placement.n_out), array)


def read_patches(
    array: Array,
    v: torch.Tensor,
    geometry: ConvGeometry,
    placement: Placement,
    scale: ReadScale | None = None,
    *,
    within: bool = False,
) -> torch.Tensor:
    """Read an array with every patch of images.

    Args:
        array: any array; one with `PatchReads` need not copy the patches.
        v: `(*chips, batch, H, W, C)` V; numbers, if a `scale` is given.
        geometry: of the patches; the padding is at 0 V.
        placement: of a matrix with C / groups * kh * kw inputs, channel by channel. Group k of its outputs is read with
            the k-th part of the channels.
        scale: if given, `v` and the result are numbers; only for an array with homogeneous `ScaledReads`.
        within: as in `read_vectors`.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A, or numbers.

    Raises:
        OutOfRangeError: a scale is given, but the array takes volts only.
    """
    if scale is not None:
        return _scaled(array).read_patches_scaled(_within_scale(v, array, placement, scale), geometry, placement, scale)
    if (
        not isinstance(geometry, ConvGeometry)
        or not is_real(v)
        or v.dim() < 4
        or min(geometry.out_size(v.shape[-3:-1])) < 1
    ):
        raise ShapeError(f"`v` must be images (*chips, batch, H, W, C) as large as a patch of `geometry`, {geometry}")
    if isinstance(array, PatchReads):
        within = within or not _is_cut(v, array, placement)
        return array.read_patches(_within(v, array, within=within), geometry, placement)
    if placement.parts:
        channels = v.chunk(placement.groups, dim=-1)
        found = [
            read_patches(array, own, geometry, part, within=within)
            for own, part in zip(channels, placement.parts, strict=True)
        ]
        return torch.cat(found, dim=-1)
    return by_rows(v, geometry, lambda rows: read_vectors(array, rows, placement, within=within))


def read_transposed(array: Array, v_col: torch.Tensor, placement: Placement, *, within: bool = False) -> torch.Tensor:
    """Read an array from its columns.

    Args:
        array: any array that can be read in this direction.
        v_col: `(*chips, batch, n_out)` V, within the read voltage.
        placement: of the matrix.
        within: as in `read_vectors`.

    Returns:
        `(*chips, batch, n_in)` A.
    """
    if within:
        _accept(v_col, array)
    i_in = array.read_transposed(v_col, placement)
    return _checked("read_transposed", i_in, (*v_col.shape[:-1], placement.n_in), array)


def read_cells(array: Array, cells: torch.Tensor, *, unmeasured: bool = False) -> torch.Tensor:
    """Measured conductances of cells.

    Args:
        array: any array.
        cells: any shape, int64 addresses.
        unmeasured: True: NaN stays, for cells that could not be measured, of which the caller must take care. False:
            they are an error.

    Returns:
        S, the shape of `cells`.
    """
    return _checked("readout", array.readout(cells), tuple(cells.shape), array, unmeasured=unmeasured)


def _checked(
    method: str, found: torch.Tensor, shape: tuple[int, ...], array: Array, *, unmeasured: bool = False
) -> torch.Tensor:
    """What a method of an array returned, checked unless the array is a simulated one.

    A wrong shape would broadcast without a word, and NaN would become NaN outputs of a network.

    Raises:
        ShapeError: it has another shape.
        OutOfRangeError: it is not a tensor of the array's dtype and device, or not finite everywhere.
    """
    if isinstance(array, ScaledReads):
        return found
    what = f"`{type(array).__name__}.{method}` must return"
    if not isinstance(found, torch.Tensor):
        raise OutOfRangeError(f"{what} a tensor, but returned a {type(found).__name__}")
    if tuple(found.shape) != shape:
        raise ShapeError(f"{what} the shape {shape}, but returned {tuple(found.shape)}")
    if found.dtype != array.dtype or found.device.type != torch.device(array.device).type:
        raise OutOfRangeError(
            f"{what} {array.dtype} on {array.device}, its `dtype` and `device`, but returned {found.dtype} on "
            f"{found.device}"
        )
    finite = ~found.isinf() if unmeasured else found.isfinite()
    if not bool(finite.all()):
        n_bad = int((~finite).sum())
        raise OutOfRangeError(f"{what} finite numbers, but {n_bad} of {found.numel()} are NaN or infinite")
    return found


def _scaled(array: Array) -> ScaledReads:
    if not isinstance(array, ScaledReads):
        raise OutOfRangeError(f"`scale` must be None for a {type(array).__name__}, which is read in volts")
    return array


MANY_CUT = 0.05
"""Fraction of the inputs beyond the drivers' range above which a read warns, once for each placement."""

_LOOKED_AT: WeakKeyDictionary[Placement, int] = WeakKeyDictionary()
"""Reads of each placement so far; -1 after its warning."""

_LARGEST: WeakKeyDictionary[Placement, float] = WeakKeyDictionary()
"""Largest number beyond the range whose read was found to be cut in few places only, by placement."""

GROWN = 1.1
"""Growth of the largest number at which the cut inputs of a read are counted again; so are those of each read whose
number is a power of two (ours: counting takes three passes)."""


def _within_scale(x: torch.Tensor, array: Array, placement: Placement, scale: ReadScale) -> torch.Tensor:
    """Numbers clamped to the read voltage, as drivers do; as they are where each vector is scaled to it."""
    if scale.free or not is_real(x):
        return x
    x_max = array.v_read / scale.v_per_x
    clamped = x.clamp(-x_max, x_max) if _is_cut(x, array, placement, limit=x_max) else x
    _accept(clamped, array)
    return clamped


def _is_cut(v: torch.Tensor, array: Array, placement: Placement, *, limit: float | None = None) -> bool:
    """Whether the drivers may cut some of the voltages `v`, any shape, V; warn once for each placement if many.

    The first read shows a layer that was not calibrated, a later one inputs that are larger than those of the
    calibration. On the CPU every read is looked at, which is one pass over its inputs, and spares the clamping.
    Elsewhere, where the result of that pass would have to be waited for, it is each read whose number is a power of
    two.
    """
    if not is_real(v) or not v.numel():
        return True
    n_reads = _LOOKED_AT.get(placement, 0)
    if n_reads >= 0:
        _LOOKED_AT[placement] = n_reads + 1
    if v.device.type != "cpu" and (n_reads < 0 or (n_reads + 1) & n_reads):
        return True
    if limit is None:
        limit = array.dac.v_max if isinstance(array, SimulatedArray) and array.dac is not None else array.v_read
    least, most = map(float, torch.aminmax(v.detach()))
    largest = max(most, -least)
    again = not (n_reads + 1) & n_reads or not largest <= GROWN * _LARGEST.get(placement, 0.0)
    if n_reads >= 0 and again and largest > limit * (1 + 1e-6):
        _LARGEST[placement] = largest
        _warn_of_many(v, placement, limit)
    return largest > limit


def _warn_of_many(v: torch.Tensor, placement: Placement, limit: float) -> None:
    """Warn, once for each placement, if more than `MANY_CUT` of the voltages are beyond `limit` V."""
    share = float((v.abs() > limit * (1 + 1e-6)).double().mean())
    if share > MANY_CUT:
        _LOOKED_AT[placement] = -1
        warnings.warn(
            f"{share:.0%} of the inputs of {placement.named} are beyond the full scale of the row drivers, up to "
            f"{float(v.abs().max()) / limit:.3g} times, and are cut: calibrate its scaling, "
            "`ohmweave.calibrate(net, x)`",
            stacklevel=3,
        )


def is_real(v: object) -> bool:
    """True for a floating point tensor; the array refuses others."""
    return isinstance(v, torch.Tensor) and v.is_floating_point()


def _within(v: torch.Tensor, array: Array, *, within: bool) -> torch.Tensor:
    """Voltages clamped to the read voltage for arrays that refuse larger ones; a simulated DAC clamps them itself.

    Only inputs beyond the full scale of a `FixedScaling` are larger; calibrating its layer avoids this.
    """
    if not is_real(v) or (isinstance(array, SimulatedArray) and array.dac is not None):
        return v
    inside = v if within else v.clamp(-array.v_read, array.v_read)
    _accept(inside, array)
    return inside


def _accept(v: torch.Tensor, array: Array) -> None:
    """Spare a simulated array the search of `v` for voltages that cannot be there."""
    if isinstance(array, SimulatedArray):
        array.accept_voltages(v)
