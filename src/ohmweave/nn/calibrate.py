"""`calibrate`: full scales of inputs and converters of all layers of a deployed network, from training data."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import torch

from ohmweave.arrays import Array, ConverterRanges, Corner, RangedConverters, corner_of
from ohmweave.base import Magnitudes, OutOfRangeError, check_fraction, shown
from ohmweave.mapping import FixedScaling
from ohmweave.nn.calibration_batches import Call, calls_of, check_headroom
from ohmweave.nn.calibration_table import CalibratedLayer, CalibrationTable
from ohmweave.nn.chip_batch import in_software, split_chips
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.deployed import Deployed
from ohmweave.nn.nests import tree_leaves

Method: TypeAlias = Literal["quantile", "error"]
"""How a full scale is chosen from magnitudes: a quantile of them, or the least error of rounding and clipping."""


def calibrate(
    net: Deployed,
    batches: torch.Tensor | Mapping[str, Any] | Iterable[Any],
    *,
    method: Method = "quantile",
    quantile: float = 1.0,
    headroom: float = 1.0,
    n_inputs: int | None = None,
) -> CalibrationTable:
    """Set `x_max` of each `FixedScaling` and the ranges of the ADCs of all layers on the chip, from training data.

    The network is run four times, in evaluation mode and without gradients: once with no input clipped and no current
    converted, from which each `x_max` is chosen; once as it is; once with the chosen scales and no current converted,
    from which the ranges of the ADCs are chosen; and once with both. All reads, and a readout of each weight that is
    stale, are counted in the books. All chips have the same full scales. The layers of other networks on the same chip
    keep theirs.

    Args:
        net: the network. Its chip has an ADC, or a layer has a `FixedScaling`, or both.
        batches: of the training set, never of the test set: one tensor `(batch, ...)`, or an iterable of batches, each
            a tensor, a dictionary of keyword arguments of the model, or a tuple or list that begins with its arguments:
            `(x, y)` of a `DataLoader` is read as the input `x`, and the labels `y` are not used. They are kept in
            memory.
        method: "quantile" takes the magnitude that a fraction `quantile` of the numbers does not exceed; "error" takes
            the full scale with the least squared error of rounding and clipping, by the codes of the array's DAC and of
            an ideal ADC. Without a DAC, inputs are not rounded, and "error" takes the largest.
        quantile: for the method "quantile", > 0; 1 is the largest magnitude. Zeros are numbers too.
        headroom: ratio of an ADC's range to the current that was chosen, 0.01 to 100.
        n_inputs: how many parts of a tuple are arguments of the model, the first ones; None: as many as it needs, so
            that a further argument with a default, such as a mask, is not taken from a tuple.

    Returns:
        The full scales, the fractions that are clipped and the errors of each layer, before and after; `print` it.

    Raises:
        OutOfRangeError: there is nothing to calibrate, no batch, all inputs are 0, or an argument is out of range; or
            an input of a layer is NaN or infinite. All full scales are then as they were.

    Source: calibration by maximum, percentile and mean squared error as usual in quantisation after training; errors of
        different conversions are taken to be independent (ours).
    """
    rule = _Rule.of(method, quantile, headroom)
    if not isinstance(net, Deployed):
        raise TypeError(f"`net` must be a deployed network, but is {shown(net)}")
    calls = calls_of(batches, net.model, n_inputs)
    run = _Run.of(net, calls)
    with _in_evaluation(net), run.kept_on_failure():
        inputs = run.measure_inputs()
        before = run.errors()
        run.set_scales(rule, inputs)
        currents = run.measure_currents()
        run.set_ranges(rule, currents)
        after = run.errors()
    return CalibrationTable(rows=tuple(run.rows(inputs, currents, before, after)), title=rule.title(len(calls)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How full scales are chosen; see `calibrate`."""

    method: Method
    quantile: float
    headroom: float

    @classmethod
    def of(cls, method: Method, quantile: float, headroom: float) -> "_Rule":
        if method not in ("quantile", "error"):
            raise OutOfRangeError(f"`method` must be 'quantile' or 'error', but is {shown(method)}")
        quantile = check_fraction("quantile", quantile)
        if not quantile:
            raise OutOfRangeError("`quantile` must be > 0, but is 0")
        if method == "error" and quantile != 1:
            raise OutOfRangeError(f"`quantile` must be left out with `method='error'`, but is {quantile:g}")
        return cls(method=method, quantile=quantile, headroom=check_headroom(headroom))

    def scale(
        self, found: Magnitudes, converted: Callable[[torch.Tensor, float], torch.Tensor] | None, base: float = 1.0
    ) -> float:
        """The full scale for these magnitudes; 0 if there are none but zeros."""
        if self.method == "quantile" or converted is None:
            return found.quantile(self.quantile)
        return found.least_error(converted, base)

    def title(self, n_batches: int) -> str:
        how = "least error" if self.method == "error" else f"quantile {self.quantile:g}"
        more = "" if self.headroom == 1 else f", headroom {self.headroom:g}"
        return f"Calibrated by {how}{more}, on {n_batches} batch{'es' * (n_batches != 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The layers of a network that are measured and set."""

    net: Deployed
    calls: Sequence[Call]
    layers: Mapping[str, ChipLayer]
    converters: ConverterRanges | None
    x_max: dict[str, float] = field(default_factory=dict)  # before
    ranges: dict[Corner, float] = field(default_factory=dict)  # before
    full_scales: dict[str, tuple[float, ...]] = field(default_factory=dict)  # before

    @classmethod
    def of(cls, net: Deployed, calls: Sequence[Call]) -> "_Run":
        layers = {name: net.model.get_submodule(name) for name in net.on_chip}
        own = {name: layer for name, layer in layers.items() if isinstance(layer, ChipLayer)}
        converters = _converters(net.chip.array)
        run = cls(net=net, calls=calls, layers=own, converters=converters)
        run.x_max.update((name, one.x_max) for name, one in run._scalings())
        if converters is None and not run.x_max:
            raise OutOfRangeError(
                "`net` must have something to calibrate, but its chip has no ADC and no layer has a `FixedScaling`: "
                "make the chip with `adc=ADC(...)`, or deploy with `scaling=ohmweave.mapping.FixedScaling`"
            )
        if converters is not None:
            run.ranges.update(converters.ranges)
            run.full_scales.update((name, run._full_scales(layer)) for name, layer in own.items())
        return run

    def _scalings(self) -> Iterator[tuple[str, FixedScaling]]:
        for name, layer in self.layers.items():
            if isinstance(layer.matrix.scaling, FixedScaling):
                yield name, layer.matrix.scaling

    def _full_scales(self, layer: ChipLayer) -> tuple[float, ...]:
        array = self.net.chip.array
        assert isinstance(array, RangedConverters)
        placement = layer.matrix.placement
        return tuple(array.full_scale(part) for part in placement.parts or (placement,))

    @contextmanager
    def kept_on_failure(self) -> Iterator[None]:
        """If this block fails, all full scales are as they were."""
        try:
            yield
        except BaseException:
            for name, scaling in self._scalings():
                scaling.x_max = self.x_max[name]
            if self.converters is not None:
                self.converters.set_ranges(self.ranges)
            raise

    def _forward(self, hook: Callable[..., Any] | None = None, *, before: bool = False) -> None:
        """Run all batches, with a hook at each layer on the chip."""
        handles = []
        for layer in dict.fromkeys(self.layers.values()) if hook is not None else ():
            register = layer.register_forward_pre_hook if before else layer.register_forward_hook
            handles.append(register(hook, with_kwargs=True))  # type: ignore[arg-type]
        try:
            for args, kwargs in self.calls:
                self._call(args, kwargs)
        finally:
            for handle in handles:
                handle.remove()

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self.net(*args, **kwargs)
        except TypeError as error:
            if len(args) < 2:
                raise
            raise TypeError(
                f"`batches` must have the arguments of the model, but a batch has {len(args)}, with which it raised: "
                f"{error}. Of a loader with labels, give the inputs alone, (x for x, _ in loader), or `n_inputs=1`"
            ) from error

    def errors(self) -> dict[ChipLayer, float]:
        """The error of each layer that is read; see `CalibratedLayer`."""
        sums: dict[ChipLayer, list[float]] = {}
        n_chips = (self.net.chip.chip_shape or (1,))[0]

        def compare(layer: ChipLayer, args: tuple[Any, ...], kwargs: dict[str, Any], y: Any) -> None:
            total = sums.setdefault(layer, [0.0, 0.0])
            layer.weight.fresh()
            for chip in range(n_chips):
                with in_software(weights_of=chip):
                    exact = layer.forward(*args, **kwargs)
                for one, wanted in zip(tree_leaves(y), tree_leaves(exact), strict=True):
                    found, right = (self._of_chip(layer.chips_first(part), chip).double() for part in (one, wanted))
                    total[0] += float((found - right).square().sum())
                    total[1] += float(right.square().sum())

        self._forward(compare)
        return {layer: math.sqrt(error / of) if of else 0.0 for layer, (error, of) in sums.items()}

    def _of_chip(self, y: torch.Tensor, chip: int) -> torch.Tensor:
        chips = self.net.chip.chip_shape
        return split_chips(y, chips)[chip] if chips else y

    def measure_inputs(self) -> dict[int, Magnitudes]:
        """Magnitudes of the inputs, by the `id` of the scaling, with no input clipped and no current converted."""
        found: dict[int, Magnitudes] = {}

        def look(layer: ChipLayer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            scaling, rows = layer.matrix.scaling, layer.rows_of(*args, **kwargs)
            n_bad = rows.numel() - int(rows.isfinite().sum())
            if n_bad:
                raise OutOfRangeError(
                    f"the inputs of {layer.matrix.name!r} must be finite, but {n_bad} of {rows.numel()} are NaN or "
                    "infinite"
                )
            if isinstance(scaling, FixedScaling):
                own = found.setdefault(id(scaling), Magnitudes())
                own.add(rows.reshape(1, -1))
                scaling.x_max = own.largest or scaling.x_max

        with self._unconverted():
            self._forward(look, before=True)
        for name, scaling in self._scalings():
            scaling.x_max = self.x_max[name]
        return found

    def measure_currents(self) -> dict[Corner, Magnitudes]:
        """Magnitudes of the currents, by `corner_of` the placement; empty without an ADC."""
        if self.converters is None:
            return {}
        with self.converters.measuring() as found:
            self._forward()
        return dict(found)

    @contextmanager
    def _unconverted(self) -> Iterator[None]:
        if self.converters is None:
            yield
        else:
            with self.converters.measuring():
                yield

    def set_scales(self, rule: _Rule, inputs: Mapping[int, Magnitudes]) -> None:
        """Set the `x_max` of all layers that were read."""
        convert = _dac_of(self.net.chip.array)
        for _name, scaling in self._scalings():
            found = inputs.get(id(scaling))
            # Without a number but zero, as of a layer that was not read, there is nothing to choose from.
            scaling.x_max = (0.0 if found is None else rule.scale(found, convert)) or scaling.x_max

    def set_ranges(self, rule: _Rule, currents: Mapping[Corner, Magnitudes]) -> None:
        """Set the ranges of all placements that were read."""
        if self.converters is None:
            return
        chosen = {corner: rule.scale(one, self.converters.rounded, base=2.0) for corner, one in currents.items()}
        new = {corner: rule.headroom * scale for corner, scale in chosen.items() if scale > 0}
        self.converters.set_ranges(self.ranges | new)

    def rows(
        self,
        inputs: Mapping[int, Magnitudes],
        currents: Mapping[Corner, Magnitudes],
        before: Mapping[ChipLayer, float],
        after: Mapping[ChipLayer, float],
    ) -> Iterator[CalibratedLayer]:
        """A row for each layer."""
        scalings = dict(self._scalings())
        for name, layer in self.layers.items():
            scaling, placement = scalings.get(name), layer.matrix.placement
            x_max = None if scaling is None else (self.x_max[name], scaling.x_max)
            i_max = None if self.converters is None else (self.full_scales[name], self._full_scales(layer))
            parts = [currents.get(corner_of(part), Magnitudes()) for part in placement.parts or (placement,)]
            own = inputs.get(id(scaling), Magnitudes())
            yield CalibratedLayer(
                name=name,
                kind=type(layer).__name__,
                x_max=x_max,
                inputs_clipped=None if x_max is None else (own.beyond(x_max[0]), own.beyond(x_max[1])),
                i_max=i_max,
                currents_clipped=None if i_max is None else (_beyond(parts, i_max[0]), _beyond(parts, i_max[1])),
                error=(before[layer], after[layer]) if layer in after else None,
            )


def _beyond(parts: Sequence[Magnitudes], limits: Sequence[float]) -> float:
    """Fraction of the numbers of all parts that are beyond the limit of their part."""
    n = [part.n for part in parts]
    shares = [part.beyond(limit) for part, limit in zip(parts, limits, strict=True)]
    return sum(k * share for k, share in zip(n, shares, strict=True)) / max(1, sum(n))


def _converters(array: Array) -> ConverterRanges | None:
    """The converters of an array whose full scales can be set; None without an ADC."""
    if not isinstance(array, RangedConverters):
        return None
    try:  # an array around another one, such as a limiter, has converters only if that one has
        return array.converter_ranges
    except OutOfRangeError:
        return None


def _dac_of(array: Array) -> Callable[[torch.Tensor, float], torch.Tensor] | None:
    """What the DAC makes of numbers at a full scale; None for an array that drives any voltage."""
    dac = array.books.dac  # of the array inside, where there is a limiter or a log around it
    if dac is None:
        return None
    return partial(_after_dac, dac.codes, dac.v_lsb, array.v_read)


def _after_dac(
    codes: Callable[[torch.Tensor], torch.Tensor], v_lsb: float, v_read: float, x: torch.Tensor, x_max: float
) -> torch.Tensor:
    v_per_x = v_read / x_max
    return codes(x * v_per_x) * (v_lsb / v_per_x)


@contextmanager
def _in_evaluation(net: Deployed) -> Iterator[None]:
    """Within this block the network is in evaluation mode, and no gradient is recorded."""
    flags = {module: module.training for module in net.modules()}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The first read of a layer that is not calibrated yet.
            warnings.filterwarnings("ignore", message=".* are cut: calibrate its scaling")
            net.eval()
            yield
    finally:
        for module, flag in flags.items():
            module.training = flag
