"""Packages as pip would have installed them, for tests of entry points."""

from pathlib import Path


def install(folder: Path, package: str, module: str, code: str, **groups: dict[str, str]) -> None:
    """Write the module and the metadata of `package` to `folder`, which is to be put into `sys.path`.

    `groups` are entry points by group: `experiments={"name": "module:object"}`.
    """
    home = folder / module
    home.mkdir()
    (home / "__init__.py").write_text(code, encoding="utf-8")
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    declared = [
        line
        for group, points in groups.items()
        for line in (f"[ohmweave.{group}]", *(f"{name} = {value}" for name, value in points.items()), "")
    ]
    (metadata / "entry_points.txt").write_text("\n".join(declared), encoding="utf-8")


def experiment_file(name: str, *, before: str = "", after: str = "") -> str:
    """Code that registers the experiment `name`, whose only task gives the number 3."""
    return f"""
{before}
from ohmweave.experiments import Claim, Equal, Experiment, Task, mean_of, register

NAME = {name!r}


def tasks(options):
    return [Task(experiment=NAME, params={{}}, seed=options.seed + i) for i in range(options.seeds)]


def run(task, context):
    return {{"three": 3}}


register(
    Experiment(
        name=NAME,
        title="Three",
        paper="no paper",
        summary="It gives three.",
        claims=(
            Claim(
                key="three",
                quantity="the number",
                unit="",
                paper=3,
                where="here",
                estimate=mean_of("three"),
                accept=Equal(),
            ),
        ),
        assumptions=(),
        tasks=tasks,
        run=run,
    )
)
{after}
"""
