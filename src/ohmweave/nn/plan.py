"""`plan`: what `deploy` would put where, before anything is placed or written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ohmweave.arrays import Array
from ohmweave.base import (
    ChipFullError,
    OhmweaveError,
    OutOfRangeError,
    ShapeError,
    UnplaceableLayerError,
    check_fields,
    shown,
)
from ohmweave.base.text import counted
from ohmweave.mapping import Chip, DifferentialPair, InputScaling, PerSampleScaling, WeightMapping
from ohmweave.mapping.trial import Trial
from ohmweave.nn.apart_arrays import holders, how_apart, take
from ohmweave.nn.as_known import AsKnown
from ohmweave.nn.balanced import Balanced, with_balance
from ohmweave.nn.deploy import check_arguments, refusal
from ohmweave.nn.layer_registry import to_chip
from ohmweave.nn.layer_table import Count, LayerRow, table
from ohmweave.nn.nests import tree_leaves
from ohmweave.nn.on_chip import OnChip
from ohmweave.nn.printout import digital_products, in_order
from ohmweave.nn.sorting import ALWAYS_DIGITAL, Layer, Sorted, sort_layers
from ohmweave.nn.undisturbed import undisturbed
from ohmweave.programming import Write, WriteReport


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """What `deploy` would do with a model on a chip; printed as a table.

    Attributes:
        rows: of the layers and parameters, in the order of the model.
        title: the model and the chip, in words.
        n_arrays: arrays on which the layers of the model have cells, those that the chip does not have included.
        n_arrays_here: arrays of the chip.
        n_arrays_missing: further arrays of the same size that would hold what does not fit.
        macs: products that are summed in one call of the model on the given input, also those of no layer; None if no
            input was given.
        problems: further reasons why the model cannot be deployed, such as tied parameters, a name that is on the chip
            already, or a weight that is NaN.
        error: what `deploy` raises with these arguments before it sends a pulse; None if nothing.
    """

    rows: tuple[LayerRow, ...]
    title: str
    n_arrays: Count
    n_arrays_here: Count
    macs: Count | None
    problems: tuple[str, ...]
    n_arrays_missing: Count = 0
    error: OhmweaveError | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    @property
    def fits(self) -> bool:
        """True if all layers have room on the chip."""
        return self.n_arrays_missing == 0

    def check(self) -> None:
        """Raise `error`, if there is one, as `deploy` does."""
        if self.error is not None:
            raise self.error

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the layers that can neither be placed nor stay digital without a word of the caller."""
        return tuple(row.name for row in self.rows if row.on == "refused")

    @property
    def n_cells(self) -> int:
        """Cells of all layers, on one chip."""
        return sum(row.n_cells for row in self.rows)

    @property
    def share_on_chip(self) -> float | None:
        """Fraction of the MACs that the chip computes; None if no input was given."""
        on_chip = sum(row.macs or 0 for row in self.rows if row.on == "chip")
        return None if self.macs is None else on_chip / max(1, self.macs)

    def __repr__(self) -> str:
        """The table, and below it the sums and what stands against a deployment."""
        n_on_chip = sum(row.on == "chip" for row in self.rows)
        text = [self.title, *(f"  {line}" for line in table(self.rows))]
        cells = f"{counted(self.n_cells, 'cell')} on {self.n_arrays:,} of {counted(self.n_arrays_here, 'array')}"
        cells = f"{cells} of" if self.fits else f"{counted(self.n_cells, 'cell')} on"
        text.append(f"  {counted(n_on_chip, 'layer')} and {cells} the chip, biases digital")
        if self.macs is not None:
            text[-1] += f"; {self.share_on_chip:.3f} of {self.macs:,} MACs on the chip"
        if not self.fits:
            text.append(
                f"  does not fit: it takes {counted(self.n_arrays, 'array')}, of which {self.n_arrays_missing:,} "
                f"{'is' if self.n_arrays_missing == 1 else 'are'} not on this chip"
            )
        text += [f"  cannot be deployed: {one}" for one in self.problems]
        return "\n".join(text)


def plan(
    model: torch.nn.Module,
    chip: Chip,
    x: Any = None,
    *,
    write: Write | None = None,
    mapping: WeightMapping | None = None,
    scaling: InputScaling | Callable[[], InputScaling] = PerSampleScaling,
    layers: Mapping[str, OnChip] | None = None,
    digital: Sequence[str] = (),
    as_known: AsKnown | None = None,
    replicas: Mapping[str, int] | Balanced | None = None,
    name: str | None = None,
) -> Plan:
    """What `deploy` would put where. The chip and the model do not change, and no cell is read.

    Args:
        model: any model.
        chip: the chip; cells that are taken are left out.
        x: an input of the model, to count its MACs: a tensor, a tuple of arguments, or a dictionary of keyword
            arguments. The model is called once, in software.
        write: as in `deploy`, which takes the same arguments; None is any write.
        mapping: as in `deploy`.
        scaling: as in `deploy`.
        layers: as in `deploy`.
        digital: as in `deploy`.
        as_known: as in `deploy`.
        replicas: as in `deploy`.
        name: as in `deploy`.

    Raises:
        OutOfRangeError: an argument names what the model does not have.
        ShapeError: the model raised an error for `x`, which is the cause of this one.
        ChipFullError: `replicas` is `Balanced`, and the chip has too few empty arrays for one of each layer.

    What cannot be placed does not raise, but is a row with the reason and the argument that helps. `Plan.error` is what
    `deploy` raises, found on a copy of the chip's sizes and free cells: `ow.plan(...).check()` raises it.
    """
    check_arguments(model, chip, layers, digital, name)
    mapping = DifferentialPair() if mapping is None else mapping
    default = OnChip(mapping=mapping, scaling=scaling, write=_any_write if write is None else write)
    sort = partial(sort_layers, model, layers=layers or {}, digital=digital, as_known=as_known or {}, default=default)
    parts = with_balance(sort, replicas, chip)
    by_layer, total = (None, None) if x is None else _macs(parts, x)
    prefix = "" if name is None else f"{name}."
    error = _error(parts, chip, prefix)
    trial, refused = Trial(chip), {one.name for one in parts.refused}
    taken = holders(chip, prefix, ())
    rows: list[LayerRow] = [
        _on_chip(layer, chip, trial, taken, None if by_layer is None else by_layer[layer.name])
        for layer in parts.layers
        if layer.name not in refused
    ]
    rows += [_digital(parts.model, one) for one in parts.digital]
    rows += digital_products(parts.model)
    rows += [
        LayerRow(name=one.name, kind=one.kind, on="refused", note=f"{one.why}: {one.remedy}" if one.why else one.remedy)
        for one in parts.refused
    ]
    return Plan(
        rows=tuple(in_order(rows, parts.model)),
        title=_title(model, chip),
        n_arrays=trial.n_arrays,
        n_arrays_missing=trial.n_further,
        error=error,
        n_arrays_here=chip.array.n_arrays,
        macs=total,
        problems=parts.problems if error is None or parts.problems else _further_problem(error, bool(refused)),
    )


def _any_write(array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
    raise OutOfRangeError("a plan writes nothing")


def _error(parts: Sorted, chip: Chip, prefix: str) -> OhmweaveError | None:
    """What `deploy` raises before any pulse."""
    try:
        parts.check()
    except UnplaceableLayerError as error:
        return error
    return refusal(parts.model, chip, parts.layers, prefix)


def _further_problem(error: OhmweaveError, in_rows: bool) -> tuple[str, ...]:
    """The error in words, unless the rows say it."""
    return () if in_rows or isinstance(error, ChipFullError) else (str(error),)


def _title(model: torch.nn.Module, chip: Chip) -> str:
    array, n = chip.array, chip.chip_shape
    chips = f"{counted(n[0], 'chip')}, each" if n else "one chip"
    size = f"{counted(array.n_arrays, 'array')} of {array.rows} x {array.cols} cells"
    return f"Plan of {type(model).__name__} on {chips} of {size}, {chip.n_taken:,} taken"


def _on_chip(layer: Layer, chip: Chip, trial: Trial, taken: dict[int, set[str]], macs: int | None) -> LayerRow:
    """The row of a layer that goes on the chip, or would if there were room; `taken` is as in `how_apart`."""
    weight = layer.entry.weight(layer.module)
    try:
        how = how_apart(layer, chip, taken)
    except ChipFullError:
        how = replace(layer.how, arrays=())
    assert how.mapping is not None  # the default has one
    tiles, fits = trial.place(
        (weight.shape[0], weight.numel() // weight.shape[0]),
        how.mapping,
        groups=layer.entry.groups(layer.module),
        tile_rows=how.tile_rows,
        arrays=how.arrays,
        corners=how.corners,
        apart=bool(layer.of) or layer.alone,
    )
    if fits:
        take(taken, layer, {tile.array for tile in tiles})
    n_arrays = len({tile.array for tile in tiles})
    note = "" if fits else f"does not fit: {counted(n_arrays, 'further array')}"
    return LayerRow(
        name=layer.name,
        kind=type(layer.module).__name__,
        on="chip",
        note=note,
        n_cells=sum(tile.rows * tile.cols for tile in tiles),
        n_tiles=len(tiles),
        n_arrays=n_arrays,
        macs=macs,
    )


def _digital(model: torch.nn.Module, name: str) -> LayerRow:
    """The row of a layer or parameter that stays in software."""
    modules = dict(model.named_modules())
    if name not in modules:
        return LayerRow(name=name, kind="Parameter", on="digital", note="named in `digital`")
    module = modules[name]
    if isinstance(module, ALWAYS_DIGITAL):
        note = "no matrix"
    elif (entry := to_chip(module)) is not None and not entry.unasked:
        note = f"on the chip if asked: `layers={{{name!r}: OnChip()}}`"
    else:
        note = "named in `digital`"
    return LayerRow(name=name, kind=type(module).__name__, on="digital", note=note)


def _macs(parts: Sorted, x: Any) -> tuple[dict[str, int], int]:
    """The MACs of each layer that goes on the chip, by name, and of the whole model, in one call."""
    args, kwargs = (x, {}) if isinstance(x, tuple) else ((), dict(x)) if isinstance(x, Mapping) else ((x,), {})
    first = next((leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)), None)
    if first is None:
        raise TypeError(f"`x` must be a tensor, or a tuple or dictionary with one, but is {shown(x)}")
    found = {layer.name: 0 for layer in parts.layers}
    counter = FlopCounterMode(display=False)
    with undisturbed(parts.model, first), torch.no_grad():
        for layer in parts.layers:
            for module in (layer.module, *layer.twins):
                _count(module, layer.name, found, counter)
        # The fused kernels of attention on CPUs are not counted by torch, their plain products are.
        with counter, sdpa_kernel(SDPBackend.MATH):
            _called(parts.model, args, kwargs)
    # A MAC is two operations: a product and a sum.
    return {name: n // 2 for name, n in found.items()}, counter.get_total_flops() // 2


def _called(model: torch.nn.Module, args: Any, kwargs: Any) -> None:
    """Call the model; what it or torch raises is said of `x`."""
    try:
        model(*args, **kwargs)
    except OhmweaveError:
        raise
    except (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError) as error:
        kind = type(model).__name__
        raise ShapeError(f"`x` must be an input of {kind}, which raised {type(error).__name__}: {error}") from error


def _count(module: torch.nn.Module, name: str, found: dict[str, int], counter: FlopCounterMode) -> None:
    """Add the operations of each call of `module` to `found[name]`."""

    def before(module: torch.nn.Module, args: Any) -> None:
        found[name] -= counter.get_total_flops()

    def after(module: torch.nn.Module, args: Any, output: Any) -> None:
        found[name] += counter.get_total_flops()

    module.register_forward_pre_hook(before)
    module.register_forward_hook(after)
