"""What `ohmweave run --all` prints before the run, and the table that it writes after it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import typer

from ohmweave.cli.console import print_note

if TYPE_CHECKING:
    from ohmweave.experiments import Expected, Experiment, Options, Row

Chosen: TypeAlias = "tuple[Experiment, Options]"
"""An experiment, and the options with which it is run."""


def chosen_experiments(names: Sequence[str], *, every: bool) -> "dict[str, Experiment]":
    """The experiments by name: all of them, or those that `names` select.

    Raises:
        typer.BadParameter: neither `names` nor `--all` is given, or both.
        ExperimentError: a name selects none.
    """
    from ohmweave.experiments import experiments, match

    if every == bool(names):
        raise typer.BadParameter("give the names of experiments, or --all" + (", not both" if every else ""))
    return experiments() if every else {one.name: one for name in names for one in match(name)}


def options_by_experiment(
    chosen: "Iterable[Experiment]", options: "Options", *, own_data: bool, own_seeds: bool
) -> "list[Chosen]":
    """Each experiment with its options: the user's, or with the data set and the repetitions that are its own."""
    return [
        (
            one,
            replace(
                options,
                data=one.data if own_data else options.data,
                seeds=one.seeds if own_seeds else options.seeds,
            ),
        )
        for one in chosen
    ]


def print_expected(chosen: "Sequence[Chosen]", n_workers: int) -> None:
    """Print the expected time of each experiment and of all, with the origin of each figure."""
    from ohmweave.experiments import expected_times
    from ohmweave.report import show_duration

    expected = expected_times(chosen)
    width = max(len(one.experiment) for one in expected)
    print_note(f"expected time on this machine at {chosen[0][1].scale} scale:")
    for one, (_, options) in zip(expected, chosen, strict=True):
        time = "unknown" if one.seconds is None else show_duration(one.seconds / n_workers)
        what = f"{options.data}, {options.seeds} seed{'' if options.seeds == 1 else 's'}"
        print_note(f"  {one.experiment:<{width}}  {what}: {one.n_todo} of {one.n_tasks} tasks  {time}  ({one.source})")
    print_note(_total(expected, n_workers))
    _print_needs(chosen)


def _total(expected: "Sequence[Expected]", n_workers: int) -> str:
    from ohmweave.report import show_duration

    known = sum(one.seconds for one in expected if one.seconds is not None)
    unknown = [one.experiment for one in expected if one.seconds is None]
    text = f"in all about {show_duration(known / n_workers)}"
    if n_workers > 1:
        text += f" on {n_workers} workers, if they share the work evenly"
    return text + (f", and unknown times for {len(unknown)} experiments: {', '.join(unknown)}" if unknown else "")


def _print_needs(chosen: "Sequence[Chosen]") -> None:
    """Name the data sets whose claims cannot be judged by this run."""
    from ohmweave.experiments import Needs

    needs = [(claim.needs, options.data) for one, options in chosen for claim in one.claims]
    wanted = [(need.data, data) for need, data in needs if isinstance(need, Needs) and need.data not in (None, data)]
    for pair in sorted(set(wanted)):
        print_note(f"note: {wanted.count(pair)} claims need --data {pair[0]} and cannot be judged on {pair[1]}")


def write_table(path: Path, results: "dict[str, list[Row]]", folder: Path) -> None:
    """Write the Markdown table of all claims of `results`, with the times in the logs of `folder`."""
    from ohmweave.experiments import atomic_write, read_log
    from ohmweave.report import all_claims_markdown

    with atomic_write(path) as part:
        part.write_text(all_claims_markdown(results, read_log(folder)), encoding="utf-8")
    print_note(f"claims: {path}")
