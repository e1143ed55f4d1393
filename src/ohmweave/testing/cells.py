"""The contract of `Cell`, of its parts, and of switching laws, as a class of tests."""

from typing import Any

import torch

from ohmweave.base import OutOfRangeError, flatten_state, generator, map_state, unflatten_state
from ohmweave.cells import RESET, SET, Cell, CellState, Pulse, SwitchingLaw

_FEW, _MANY = 240, 20_000
_WAIT = 30.0  # s, after which slow processes have moved cells as well


class CellContract:
    """Tests of one cell or switching law. Give `make_cell`; every `test_...` method is then a test.

    Attributes:
        train_tolerance: permitted deviation of mean and standard deviation of a train from those of single pulses, as a
            fraction, in addition to statistical errors; for laws whose trains are approximations.
    """

    train_tolerance: float = 0.0

    def make_cell(self) -> Cell | SwitchingLaw[Any]:
        """The cell that is tested."""
        raise NotImplementedError

    # Cells for the tests

    def cell(self) -> Cell:
        """The cell that is tested, as a `Cell`."""
        return Cell.of(self.make_cell())

    def inside(
        self, cell: Cell, n: int = _FEW, *, dtype: torch.dtype = torch.float64, at: float | None = None, seed: int = 0
    ) -> CellState:
        """Fresh cells `(n,)` shifted to the fraction `at` of the window; None: over the inner 80 % of the window."""
        state = cell.init_state((n,), generator=generator(seed, "contract", "cells"), dtype=dtype)
        chance = generator(seed, "contract", "start")
        x = torch.rand(n, generator=chance, dtype=dtype, device="cpu") if at is None else torch.full_like(_g(state), at)
        g = cell.g_min + (cell.g_max - cell.g_min) * (0.1 + 0.8 * x if at is None else x)
        return cell.shift_conductance(state, g - _g(state))

    # The contract

    def test_fresh_cells_have_a_conductance(self) -> None:
        """Of the given shape, finite, not negative."""
        cell = self.cell()
        for shape in ((), (0,), (3, 4)):
            g = cell.conductance(cell.init_state(shape, generator=generator(0)))
            assert tuple(g.shape) == shape, f"fresh cells must have the shape {shape}, but have {tuple(g.shape)}"
            _check_physical(g, "fresh cells")

    def test_arguments_are_left_as_they_were(self) -> None:
        """The functions of a cell are pure: they do not change a state or pulse that is passed in."""
        cell = self.cell()
        state = _life(cell, self.inside(cell))
        pulse = _pulses(cell, _g(state), n=True)
        v = torch.full_like(_g(state), 0.2)
        given = {**flatten_state(state), **{name: x for name, x in pulse._asdict().items() if x is not None}, "v": v}
        before = {name: tensor.clone() for name, tensor in given.items()}
        chance = generator(1)
        cell.pulse(state, pulse, generator=chance)
        cell.relax(state, _WAIT, generator=chance)
        cell.shift_conductance(state, 0.1 * _g(state))
        cell.conductance(state)
        cell.current(state, v)
        cell.read_noise_sigma(state)
        for name, tensor in given.items():
            assert torch.equal(tensor, before[name]), f"`{name}` must be left as it was, but was changed in place"

    def test_dtype_and_device_are_kept(self) -> None:
        """Floating tensors keep their dtype, on the device of the state, with any dtype of the polarity.

        Conductances and factors have that of the cells; ages and counts may be in float64 for every dtype of the cells.
        """
        cell = self.cell()
        for dtype in (torch.float32, torch.float64):
            state = self.inside(cell, dtype=dtype)
            own = {name: tensor.dtype for name, tensor in flatten_state(state).items()}
            assert own["switching.g"] == dtype, f"`switching.g` must be {dtype}, but is {own['switching.g']}"
            for polarity in (torch.int8, torch.int64, torch.float32, torch.float64):
                pulse = _pulses(cell, _g(state), n=True)
                now = cell.pulse(state, pulse._replace(polarity=pulse.polarity.to(polarity)), generator=generator(1))
                now = cell.shift_conductance(cell.relax(now, _WAIT, generator=generator(2)), 0 * _g(now))
                seen = {"conductance": cell.conductance(now), "current": cell.current(now, _g(now) * 0 + 0.1)}
                if (sigma := cell.read_noise_sigma(now)) is not None:
                    seen["read noise"] = sigma
                for name, tensor in {**flatten_state(now), **seen}.items():
                    wanted = own.get(name, dtype)
                    kept = not tensor.is_floating_point() or tensor.dtype == wanted
                    assert kept, f"`{name}` must stay {wanted}, but is {tensor.dtype} after a pulse of {polarity}"
                    assert tensor.device == _g(state).device, f"`{name}` must stay where it was, but is elsewhere"

    def test_nothing_is_made_on_the_default_device(self) -> None:
        """With another default device, cells are on the device of their generator."""
        cell = self.cell()
        with torch.device("meta"):
            state = _life(cell, self.inside(cell))
            seen = {**flatten_state(state), "current": cell.current(state, _g(state) * 0 + 0.1)}
        for name, tensor in seen.items():
            assert tensor.device.type == "cpu", f"`{name}` must be on the generator's device, but is on {tensor.device}"

    def test_the_shape_of_cells_means_nothing(self) -> None:
        """The same cells in another shape give the same bits."""
        cell = self.cell()
        state = self.inside(cell)
        pulse = _pulses(cell, _g(state), n=True)
        square = map_state(lambda x: x.view(2, -1), state)
        square_pulse = Pulse._make(None if x is None else x.view(2, -1) for x in pulse)
        one = cell.relax(cell.pulse(state, pulse, generator=generator(1)), _WAIT, generator=generator(2))
        two = cell.relax(cell.pulse(square, square_pulse, generator=generator(1)), _WAIT, generator=generator(2))
        _check_equal(one, map_state(torch.flatten, two), "cells in another shape")

    def test_cells_do_not_depend_on_each_other(self) -> None:
        """Other conductances and polarities of some cells do not change the others."""
        cell = self.cell()
        state = self.inside(cell)
        elsewhere = torch.arange(_FEW, device="cpu") % 2 == 1
        pulse = _pulses(cell, _g(state))
        other = cell.shift_conductance(state, elsewhere * 0.3 * _g(state))
        other_pulse = pulse._replace(polarity=torch.where(elsewhere, -pulse.polarity, pulse.polarity))
        one = cell.relax(cell.pulse(state, pulse, generator=generator(1)), _WAIT, generator=generator(2))
        two = cell.relax(cell.pulse(other, other_pulse, generator=generator(1)), _WAIT, generator=generator(2))
        here = ~elsewhere
        _check_equal(map_state(lambda x: x[here], one), map_state(lambda x: x[here], two), "cells beside others")

    def test_cells_without_a_pulse_keep_their_state(self) -> None:
        """Polarity 0, or n = 0. A law that `disturbs_listed_cells` changes their conductance and nothing else."""
        cell = self.cell()
        state = cell.relax(self.inside(cell), 1.0, generator=generator(3))
        for n in (False, True):
            pulse = _pulses(cell, _g(state), n=n)
            stays = pulse.polarity == 0 if pulse.n is None else (pulse.polarity == 0) | (pulse.n == 0)
            after = cell.pulse(state, pulse, generator=generator(1))
            before, now = (map_state(lambda x: x[stays], one) for one in (state, after))  # noqa: B023 - used at once
            if cell.disturbs_listed_cells:
                moved = not torch.equal(_g(before), _g(now))
                assert moved, "a cell that `disturbs_listed_cells` must disturb them, but does not"
                now = now._replace(switching=now.switching._replace(g=_g(before)))
            _check_equal(before, now, "cells without a pulse")

    def test_equal_seeds_give_equal_bits(self) -> None:
        """Two runs from the same generators."""
        cell = self.cell()
        one, two = (_life(cell, self.inside(cell)) for _ in range(2))
        _check_equal(one, two, "a second run")

    def test_a_saved_state_goes_on_bit_for_bit(self) -> None:
        """Flattened to named tensors and put into a fresh state of other cells."""
        cell = self.cell()
        state = _life(cell, self.inside(cell))
        saved = {name: tensor.clone() for name, tensor in flatten_state(state).items()}
        restored = unflatten_state(cell.init_state((_FEW,), generator=generator(9), dtype=torch.float64), saved)
        _check_equal(_life(cell, state, seed=5), _life(cell, restored, seed=5), "a restored state")

    def test_a_pulse_is_a_step_in_the_order_of_the_physics(self) -> None:
        """Step of the law, times the factors of spread and voltage, clamped to the window, up to rounding."""
        cell = self.cell()
        state = self.inside(cell)
        pulse = _pulses(cell, _g(state))
        expected = _one_pulse(cell, state, pulse, generator(1))
        error = (_g(cell.pulse(state, pulse, generator=generator(1))) - expected.switching.g).abs()
        good = error <= 1e-9 * _g(expected)
        assert bool(good.all()), (
            f"a pulse must move cells by scaled steps of the law, but is off by {_worst(error, good)} S"
        )

    def test_a_train_is_its_pulses_one_after_the_other(self) -> None:
        """Up to rounding if the same random numbers are drawn; else in mean and standard deviation."""
        cell = self.cell()
        for polarity in (SET, RESET):
            start = self.inside(cell, _MANY, at=0.5)
            one = Pulse(torch.full((_MANY,), polarity, device="cpu"))
            train = cell.pulse(start, one._replace(n=torch.full((_MANY,), 3, device="cpu")), generator=generator(1))
            single, chance = start, generator(1)
            for _ in range(3):
                single = _one_pulse(cell, single, one, chance)
            if bool(((_g(train) - _g(single)).abs() <= 1e-9 * _g(single)).all()):
                continue
            _check_same_distribution(_g(train) - _g(start), _g(single) - _g(start), "a train", self.train_tolerance)

    def test_conductances_stay_physical(self) -> None:
        """Finite and not negative; within the window after pulses if the law is bounded."""
        cell = self.cell()
        _check_physical(cell.conductance(_life(cell, self.inside(cell))), "cells after pulses and waits")
        for polarity in (SET, RESET):
            for dtype in (torch.float32, torch.float64):
                state = self.inside(cell, dtype=dtype)
                pulse = Pulse(torch.full((_FEW,), polarity, device="cpu"), n=torch.full((_FEW,), 60, device="cpu"))
                g = _g(cell.pulse(state, pulse, generator=generator(1)))
                _check_physical(g, "cells after a long train")
                if cell.switching.bounded:
                    inside = (g >= cell.g_min * (1 - 1e-6)) & (g <= cell.g_max * (1 + 1e-6))
                    assert bool(inside.all()), (
                        f"pulses must keep cells in the window, but one is at {_worst(g, inside)} S"
                    )

    def test_no_time_changes_nothing(self) -> None:
        """A wait of 0 s."""
        cell = self.cell()
        state = _life(cell, self.inside(cell))
        _check_equal(state, cell.relax(state, 0.0, generator=generator(1)), "cells after 0 s")

    def test_two_waits_are_one(self) -> None:
        """In mean and variance, on freshly pulsed cells."""
        cell = self.cell()
        start = self.inside(cell, _MANY, at=0.5)
        once = cell.relax(start, _WAIT, generator=generator(1))
        twice = cell.relax(start, 0.1, generator=generator(2))
        twice = cell.relax(twice, _WAIT - 0.1, generator=generator(3))
        _check_same_distribution(_g(once) - _g(start), _g(twice) - _g(start), "two waits", 0.0)

    def test_currents_follow_the_conductance_at_low_voltage(self) -> None:
        """I = g v for small v, of the sign of v, and odd in v; for ohmic cells at any v."""
        cell = self.cell()
        state = self.inside(cell)
        g = cell.conductance(state)
        low = 1e-5
        high = torch.full_like(g, 0.3)
        error = (cell.current(state, torch.full_like(g, low)) / low - g).abs()
        assert bool((error <= 1e-4 * g).all()), "the current must be g v at low voltage, but is not"
        up, down = cell.current(state, high), cell.current(state, -high)
        assert bool(((up + down).abs() <= 1e-9 * up.abs()).all()), "the current must change its sign with v"
        if cell.is_ohmic:
            assert bool(((up - g * high).abs() <= 1e-9 * up).all()), "an ohmic cell must conduct g v, but does not"

    def test_read_noise_is_a_standard_deviation(self) -> None:
        """Of the shape of the cells, finite, not negative; or None for exact reads."""
        cell = self.cell()
        state = self.inside(cell)
        sigma = cell.read_noise_sigma(state)
        if sigma is not None:
            assert sigma.shape == _g(state).shape, "read noise must have the shape of the cells"
            _check_physical(sigma, "read noise")

    def test_a_shift_moves_the_conductance(self) -> None:
        """By the given amount, and never below zero."""
        cell = self.cell()
        state = self.inside(cell)
        up = _g(cell.shift_conductance(state, 0.5 * _g(state)))
        assert bool(((up / _g(state) - 1.5).abs() < 1e-6).all()), "a shift must move g by dg, but does not"
        _check_physical(_g(cell.shift_conductance(state, -2 * _g(state))), "cells shifted below zero")

    def test_what_a_cell_does_not_feel_is_refused(self) -> None:
        """A pulse with a voltage, gate voltage or width for a cell that does not depend on it."""
        cell = self.cell()
        state = self.inside(cell)
        felt = {"v": cell.feels_voltage, "v_gate": cell.feels_gate, "width": cell.feels_width}
        for name, feels in felt.items():
            pulse = Pulse(torch.ones_like(_g(state)))._replace(**{name: torch.ones_like(_g(state))})
            try:
                cell.pulse(state, pulse, generator=generator(0))
                refused = False
            except OutOfRangeError:
                refused = True
            assert refused != feels, f"`pulse.{name}` must be {'accepted' if feels else 'refused'}, but is not"


def _g(state: CellState) -> torch.Tensor:
    """The conductance of the switching law, S, without faults."""
    g: torch.Tensor = state.switching.g
    return g


def _pulses(cell: Cell, like: torch.Tensor, *, n: bool = False, seed: int = 0) -> Pulse:
    """A pulse for each cell, with both polarities and none, and with all fields that the cell responds to."""
    chance = generator(seed, "contract", "pulses")

    def uniform() -> torch.Tensor:
        return torch.rand(like.shape, generator=chance, dtype=torch.float64, device="cpu")

    polarity = (3 * uniform()).long() - 1
    count = (4 * uniform()).long() if n else None
    v_gate = (0.5 + 2 * uniform()).to(like.dtype) if cell.feels_gate else None
    v = (0.5 + 2 * uniform()).to(like.dtype) if cell.feels_voltage else None
    width = (1e-7 * (0.5 + uniform())).to(like.dtype) if cell.feels_width else None
    return Pulse(polarity, n=count, v_gate=v_gate, v=v, width=width)


def _life(cell: Cell, state: CellState, seed: int = 0) -> CellState:
    """Pulses, trains and waits, one after the other."""
    chance = generator(seed, "contract", "life")
    for k in range(4):
        state = cell.pulse(state, _pulses(cell, _g(state), n=k % 2 == 1, seed=k), generator=chance)
        state = cell.relax(state, 10.0**k, generator=chance)
    return state


def _one_pulse(cell: Cell, state: CellState, pulse: Pulse, chance: torch.Generator) -> CellState:
    """One pulse on each cell, written out: the reference for the faster computations in `Cell.pulse`."""
    law, g = cell.switching, _g(state)
    step = law.step(state.switching, pulse, generator=chance)
    if state.factor is not None:
        step = step * state.factor
    if cell.voltage is not None and pulse.v is not None:
        step = step * cell.voltage.factor(pulse.polarity, pulse.v)
    moved = g + step
    if law.bounded:
        # A cell outside the window may stay there, but not move further out.
        moved = torch.minimum(torch.maximum(moved, g.clamp(max=cell.g_min)), g.clamp(min=cell.g_max))
    moved = moved.clamp(min=0)
    chosen = pulse.polarity != 0
    if not law.disturbs_listed_cells:
        moved = torch.where(chosen, moved, g)
    return state._replace(switching=law.after_pulse(state.switching, moved, pulse, chosen))


def _worst(g: torch.Tensor, good: torch.Tensor) -> float:
    return float(g[~good][0])


def _check_physical(x: torch.Tensor, what: str) -> None:
    good = torch.isfinite(x) & (x >= 0)
    assert bool(good.all()), f"{what} must be finite and >= 0 S, but one is {_worst(x, good)}"


def _check_equal(one: CellState, two: CellState, what: str) -> None:
    other = flatten_state(two)
    for name, tensor in flatten_state(one).items():
        assert torch.equal(tensor, other[name]), f"`{name}` of {what} must be the same to the last bit, but differs"


def _check_same_distribution(one: torch.Tensor, two: torch.Tensor, what: str, tolerance: float) -> None:
    """Mean and variance agree within five standard errors, and `tolerance` of their size."""
    n = one.numel()
    error = float((one.var() / n + two.var() / n).sqrt())
    gap = abs(float(one.mean() - two.mean()))
    allowed = 5 * error + tolerance * abs(float(two.mean())) + 1e-9 * float(two.abs().max())
    assert gap <= allowed, f"{what} must move cells by {float(two.mean())} S, but moves them by {float(one.mean())} S"
    squares = [(x - x.mean()).square() for x in (one, two)]
    error = float((squares[0].var() / n + squares[1].var() / n).sqrt())
    gap = abs(float(squares[0].mean() - squares[1].mean()))
    rounding = (1e-9 * float(two.abs().max())) ** 2
    allowed = 5 * error + 2 * tolerance * float(squares[1].mean()) + rounding
    assert gap <= allowed, f"{what} must have the standard deviation {float(two.std())} S, but has {float(one.std())} S"
