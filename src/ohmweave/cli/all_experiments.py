"""What `ohmweave run --all` prints before the run, and the table that it writes after it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ohmweave.cli.console import print_note

if TYPE_CHECKING:
    from ohmweave.experiments import Expected, Experiment, Options, Row


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


def print_expected(chosen: "Sequence[Experiment]", options: "Options", n_workers: int) -> None:
    """Print the expected time of each experiment and of all, with the origin of each figure."""
    from ohmweave.experiments import expected_times
    from ohmweave.report import show_duration

    expected = expected_times(chosen, options)
    width = max(len(one.experiment) for one in expected)
    print_note(f"expected time on this machine at {options.scale} scale on {options.data}, {options.seeds} seed(s):")
    for one in expected:
        time = "unknown" if one.seconds is None else show_duration(one.seconds / n_workers)
        print_note(f"  {one.experiment:<{width}}  {one.n_todo} of {one.n_tasks} tasks  {time}  ({one.source})")
    print_note(_total(expected, n_workers))
    _print_needs(chosen, options)


def _total(expected: "Sequence[Expected]", n_workers: int) -> str:
    from ohmweave.report import show_duration

    known = sum(one.seconds for one in expected if one.seconds is not None)
    unknown = [one.experiment for one in expected if one.seconds is None]
    text = f"in all about {show_duration(known / n_workers)}"
    if n_workers > 1:
        text += f" on {n_workers} workers, if they share the work evenly"
    return text + (f", and unknown times for {len(unknown)} experiments: {', '.join(unknown)}" if unknown else "")


def _print_needs(chosen: "Sequence[Experiment]", options: "Options") -> None:
    """Name the data sets whose claims cannot be judged by this run."""
    from ohmweave.experiments import Needs

    needs = [claim.needs for one in chosen for claim in one.claims]
    wanted = [need.data for need in needs if isinstance(need, Needs) and need.data not in (None, options.data)]
    for data in sorted({str(one) for one in wanted}):
        print_note(f"note: {wanted.count(data)} claims need --data {data} and cannot be judged on {options.data}")


def write_table(path: Path, results: "dict[str, list[Row]]", folder: Path) -> None:
    """Write the Markdown table of all claims of `results`, with the times in the logs of `folder`."""
    from ohmweave.experiments import atomic_write, read_log
    from ohmweave.report import all_claims_markdown

    with atomic_write(path) as part:
        part.write_text(all_claims_markdown(results, read_log(folder)), encoding="utf-8")
    print_note(f"claims: {path}")
