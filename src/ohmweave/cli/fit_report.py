"""The printed report of `ohmweave fit`."""

from typing import TYPE_CHECKING

from ohmweave.cli.console import print_result

if TYPE_CHECKING:
    from rich.table import Table

    from ohmweave.fitting import CellFit, CyclingState, Fit, Interval, PartFit


def print_verdicts(result: "CellFit") -> None:
    """Print of each law whether it describes its data, which is what a reader needs first."""
    for one in _fits(result):
        said = f"{one.chosen.name} law: {one.agreement}" if one.agreement.describes else str(one.agreement)
        print_result(f"{pulses_of(result, one)}{said}")


def pulses_of(result: "CellFit", one: "Fit") -> str:
    """The pulses of a fit before what is said of it, where several were fitted: "SET 1.20 V for 50.0 ns: "."""
    from ohmweave.fitting.trains import pulses_text

    pulses = pulses_text(one.trains.conditions) if len(_fits(result)) > 1 else ""
    return f"{pulses}: " if pulses else ""


def _fits(result: "CellFit") -> "list[Fit]":
    from ohmweave.fitting import Fit

    return [part.result for part in result.parts if isinstance(part.result, Fit)]


def print_fits(result: "CellFit") -> None:
    """Print the fit of each kind of measurement."""
    from ohmweave.fitting import Fit

    if result.amplitudes is not None:
        print_result(repr(result.amplitudes))

    for part in result.parts:
        if isinstance(part.result, Fit):
            _print(part.result, pulses_of(result, part.result))
        elif part.result is not None:
            for line in _lines(part):
                print_result(line)


def _lines(part: "PartFit") -> list[str]:
    """What was found, one sentence a line."""
    from ohmweave.fitting import ConductionFit, CyclingFit, NoiseFit

    result, lines = part.result, [repr(part.result)]
    if isinstance(result, CyclingFit):
        lines += [_state(word, one) for word, one in (("SET", result.after_set), ("RESET", result.after_reset))]
    elif isinstance(result, NoiseFit):
        lines += [
            f"  averages of {n:,} readings scatter by {measured:.1%} of one reading on data kept back; this law says "
            f"{law:.1%}, white noise {white:.1%}"
            for n, (measured, law, white) in result.averages.items()
            if n > 1
        ]
    elif isinstance(result, ConductionFit) and part.thresholds is not None:
        lines.append(f"  {part.thresholds!r}")
    return lines


def _state(word: str, state: "CyclingState") -> str:
    from ohmweave.base.units import format_quantity

    low, middle, high = (format_quantity(g, "S") for g in state.quartiles)
    said = f"  after {word}: median {middle}, quartiles {low} and {high}"
    for name, value in (("cell to cell", state.cell_to_cell), ("cycle to cycle", state.cycle_to_cycle)):
        said += "" if value is None else f"; sd of ln g {name} {value:.3g}"
    if state.drift is not None and state.drift.low is not None and state.drift.high is not None:
        said += f"; median drifts by {state.drift.value:+.1%} ({state.drift.low:+.1%} to {state.drift.high:+.1%})"
    if state.wear is not None and state.wear.low is not None and state.wear.high is not None:
        said += f"; as cycles^d, d = {state.wear.value:.3g} ({state.wear.low:.3g} to {state.wear.high:.3g})"
    return said


def _print(result: "Fit", pulses: str) -> None:
    print_result(_laws_table(result, pulses))
    print_result(_chosen_table(result))


def _laws_table(result: "Fit", pulses: str) -> "Table":
    """All laws, with the differences of their held-out log-likelihoods from the best; `pulses` are in the title."""
    from rich.table import Table

    table = Table(
        "law",
        "parameters",
        "behind, nats a pulse",
        title=f"{pulses}{'held' if pulses else 'Held'}-out likelihood",
        header_style="dim",
        title_justify="left",
    )
    for name, one in result.laws.items():
        gap, error = result.behind[name]
        mark = ", chosen" if one is result.chosen else ""
        table.add_row(name, str(one.n_parameters), (f"{gap:.4f} ± {error:.4f}" if gap else "best") + mark)
    return table


def _chosen_table(result: "Fit") -> "Table":
    """Window, parameters, spread and stuck cells of the chosen law, with 95 % intervals."""
    from rich.table import Table

    from ohmweave.base.units import format_quantity

    def row(name: str, interval: "Interval", unit: str = "") -> tuple[str, str, str]:
        # A number without a unit, such as an exponent, has intervals that three digits would hide.
        value, *ends = (None if x is None else format_quantity(x, unit, digits=3 if unit else 4) for x in interval)
        return name, str(value), "none" if None in ends else f"{ends[0]} to {ends[1]}"

    table = Table(result.chosen.name, "estimate", "95 %", header_style="dim")
    used = result.used
    table.add_row("window", f"{format_quantity(used.g_min, 'S')} to {format_quantity(used.g_max, 'S')}", "")
    for name, interval in result.chosen.parameters.items():
        table.add_row(*row(name, interval, "" if name in result.chosen.numbers else "S"))
    if len(used.working) > 1:
        table.add_row(*row("d2d", result.chosen.d2d))
    else:
        table.add_row("d2d", "not seen", "one cell: its difference from others is unknown")
    for name, interval in result.chosen.read_noise.items():
        table.add_row(*row(f"read noise, {name}", interval, "S" if name == "floor" else ""))
    if not result.chosen.read_noise and result.read_noise is not None:
        table.add_row(*row("read noise", result.read_noise, "S"))
    table.add_row(*row("stuck", result.stuck))
    return table
