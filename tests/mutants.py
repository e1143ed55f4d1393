"""Mutation tests: small faults are planted in the sources one at a time, and the tests should fail for each.

    python tests/mutants.py --n 100 --modules cells arrays optim/tiki_taka.py

Not part of CI: a hundred mutants take tens of minutes. The sources and tests are copied to a temporary folder, so that
nothing here changes. Prints each mutant that no test notices (a survivor) and the share that was killed; the exit code
is 1 where that share is below `--least`. The sample derives from `--seed`.
"""

import argparse
import ast
import contextlib
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("src", "ohmweave")
COPIED = ("src", "tests", "pyproject.toml")

# Folders (or files) of tests whose failure counts, the nearest first. A package without an entry has its own folder.
TESTS: dict[str, tuple[str, ...]] = {
    "base": ("base", "cells", "experiments"),
    "cells": ("cells", "testing", "fitting"),
    "circuit": ("circuit", "arrays"),
    "arrays": ("arrays", "testing", "circuit", "cost", "mapping", "programming"),
    "programming": ("programming", "mapping"),
    "fitting": ("fitting", "cli/test_fit.py"),
    "mapping": ("mapping", "programming", "nn"),
    "nn": ("nn", "testing", "optim"),
    "optim": ("optim", "testing", "papers/rules", "papers/zhang2018"),
    "cost": ("cost", "report", "papers/test_energy.py"),
    "experiments": ("experiments", "cli"),
    "report": ("report", "cli"),
}

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
SIGNS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.And: "and", ast.Or: "or",
}  # fmt: skip
CONSTANTS = {0: 1, 1: 2, 2: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place of a parsed file that can be changed: `apply` changes the tree that it was found in."""

    line: int
    what: str
    apply: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A file (relative to the package), which of its sites is changed, and the change in words."""

    path: Path
    index: int
    line: int
    what: str


class Sites(ast.NodeVisitor):
    """Collects the sites of a tree, always in the same order. Leaves out annotations, decorators, texts and errors."""

    def __init__(self) -> None:
        self.found: list[Site] = []

    def add(self, node: ast.AST, what: str, apply: Callable[[], None]) -> None:
        self.found.append(Site(line=getattr(node, "lineno", 0), what=what, apply=apply))

    def swap(self, node: ast.AST, what: str, field: str, value: object) -> None:
        """A site where `node.field` becomes `value`."""
        self.add(node, what, lambda: setattr(node, field, value))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name == "__repr__":
            return
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        is_alias = isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"
        if node.value is not None and not is_alias:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Texts of errors are compared by few tests, and rightly so."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """As `visit_Raise`."""

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operator in enumerate(node.ops):
            other = COMPARISONS.get(type(operator))
            if other is not None:
                ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                self.swap(node, f"{SIGNS[type(operator)]} to {SIGNS[other]}", "ops", ops)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = OPERATORS.get(type(node.op))
        if other is not None and not any(_is_text(part) for part in (node.left, node.right)):
            self.swap(node, f"{SIGNS[type(node.op)]} to {SIGNS[other]}", "op", other())
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        other = OPERATORS.get(type(node.op))
        if other is not None and not _is_text(node.value):
            self.swap(node, f"{SIGNS[type(node.op)]}= to {SIGNS[other]}=", "op", other())
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        self.swap(node, f"{SIGNS[type(node.op)]} to {SIGNS[other]}", "op", other())
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.USub):
            self.swap(node, "unary minus dropped", "op", ast.UAdd())
        elif isinstance(node.op, ast.Not):
            # `not not x` is the truth of x: dropping the `not` changes the meaning alone, not the type.
            self.swap(node, "`not` dropped", "operand", ast.UnaryOp(op=ast.Not(), operand=node.operand))
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        index = ast.unparse(node.slice)
        if index in ("0", "-1"):
            other = "-1" if index == "0" else "0"
            self.swap(node, f"[{index}] to [{other}]", "slice", ast.parse(other, mode="eval").body)
        else:
            self.visit(node.slice)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) in (int, float) and node.value in CONSTANTS:
            value = type(node.value)(CONSTANTS[int(node.value)])
            self.swap(node, f"{node.value} to {value}", "value", value)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.swap(node, "returns None", "value", ast.Constant(value=None))
            self.visit(node.value)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def sites(source: str) -> tuple[ast.Module, list[Site]]:
    """The tree of `source` and its sites."""
    tree = ast.parse(source)
    visitor = Sites()
    visitor.visit(tree)
    return tree, visitor.found


def mutated(source: str, index: int) -> str:
    """`source` with the site `index` changed."""
    tree, found = sites(source)
    found[index].apply()
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def files_of(names: Sequence[str], package: Path) -> list[Path]:
    """The modules that `names` mean ("cells", "arrays/books", "nn.linear"), relative to `package`."""
    found: list[Path] = []
    for name in names:
        path = package / name.removesuffix(".py").replace(".", "/")
        modules = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        if not all(module.is_file() for module in modules) or not modules:
            raise SystemExit(f"--modules must name packages or modules of ohmweave, but one is {name!r}")
        found += [module.relative_to(package) for module in modules if module.name != "__init__.py"]
    return list(dict.fromkeys(found))


def mutants_of(files: Sequence[Path], package: Path) -> list[Mutant]:
    """All mutants of `files`."""
    return [
        Mutant(path=path, index=index, line=site.line, what=site.what)
        for path in files
        for index, site in enumerate(sites((package / path).read_text(encoding="utf-8"))[1])
    ]


def relevant_tests(path: Path, tests: Path) -> list[str]:
    """The test files for the module `path`, those that are called after it or its folder first."""
    folders = TESTS.get(path.parts[0], (path.parts[0],))
    found: list[Path] = []
    for folder in folders:
        where = tests / folder
        found += [where] if where.is_file() else sorted(where.rglob("test_*.py"))

    def distance(test: Path) -> tuple[bool, bool, int]:
        own_folder = test.parent == tests / path.parent
        return path.stem not in test.stem, not own_folder, found.index(test)

    return [str(test.relative_to(tests.parent)) for test in sorted(set(found), key=distance)]


_running: set[subprocess.Popen[bytes]] = set()
"""The processes under way, to be killed when this script is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of sources and tests in a temporary folder, in which one mutant at a time is tested."""

    folder: Path

    def test(self, mutant: Mutant, tests: Sequence[str], seconds: float) -> str:
        """Plant the mutant, run the tests and restore the file: "survived", "killed" or "timeout"."""
        path = self.folder / PACKAGE / mutant.path
        source = path.read_text(encoding="utf-8")
        try:
            path.write_text(mutated(source, mutant.index), encoding="utf-8")
            return self.run(tests, seconds, fresh_cache="numba" in source)
        finally:
            path.write_text(source, encoding="utf-8")

    def run(self, tests: Sequence[str], seconds: float, *, fresh_cache: bool = False) -> str:
        """Run `tests` until the first failure; after `seconds` the whole process group is killed."""
        compiled = self.folder / "numba"
        if fresh_cache:
            shutil.rmtree(compiled, ignore_errors=True)
        # No .pyc files: two sources of one size that are written in the same second share one.
        environment = (
            os.environ
            | {
                "PYTHONPATH": os.pathsep.join([str(self.folder / "src"), os.environ.get("PYTHONPATH", "")]),
                "PYTHONDONTWRITEBYTECODE": "1",
                "NUMBA_CACHE_DIR": str(compiled),
                "TMPDIR": str(self.folder / "temporary"),
            }
            | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        )
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _running.add(process)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            _kill_group(process)
            shutil.rmtree(self.folder / "temporary", ignore_errors=True)
            (self.folder / "temporary").mkdir()
        return "survived" if code == 0 else "no tests" if code == 5 else "killed"


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and what it started; nothing is left where all have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _running.discard(process)


def copies(folder: Path, n: int) -> Iterator[Copy]:
    """`n` copies of sources and tests below `folder`."""
    for number in range(n):
        target = folder / f"copy{number}"
        target.mkdir()
        (target / "temporary").mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copy(ROOT / name, target / name)
        yield Copy(folder=target)


def run_all(chosen: Sequence[Mutant], jobs: int, timeout: float | None) -> dict[Mutant, str]:
    """The fate of each mutant. The tests must pass without one; three times what they take then is the time limit."""
    fates: dict[Mutant, str] = {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in copies(Path(folder), jobs):
            free.put(copy)

        def with_copy(work: Callable[[Copy], str]) -> str:
            copy = free.get()
            try:
                return work(copy)
            finally:
                free.put(copy)

        limits: dict[tuple[str, ...], float] = {}

        def check(tests: tuple[str, ...]) -> None:
            start = time.monotonic()
            fate = with_copy(lambda copy: copy.run(tests, 3600.0))
            if fate != "survived":
                raise SystemExit(f"the tests must pass before a fault is planted, but {fate}: pytest {' '.join(tests)}")
            limits[tests] = timeout or 30.0 + 3.0 * (time.monotonic() - start)

        def judge(mutant: Mutant) -> None:
            tests = relevant_tests(mutant.path, ROOT / "tests")
            limit = limits[tuple(sorted(tests))]
            fates[mutant] = with_copy(lambda copy: copy.test(mutant, tests, limit))
            say(f"{len(fates):4d} of {len(chosen)}  {fates[mutant]:9s} {mutant.path}:{mutant.line}  {mutant.what}")

        # One set of tests for each package, whatever its order.
        sets = {tuple(sorted(relevant_tests(mutant.path, ROOT / "tests"))) for mutant in chosen}
        try:
            list(pool.map(check, sorted(sets)))
            list(pool.map(judge, chosen))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_running):
                _kill_group(process)
            raise
    return fates


def say(text: str) -> None:
    """Print one line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Sample, test, and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", nargs="+", required=True, help="packages or modules below src/ohmweave")
    parser.add_argument("--n", type=int, default=100, help="size of the sample (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tested at a time (2)")
    parser.add_argument("--timeout", type=float, help="seconds for one mutant (30 and three times the tests' own)")
    parser.add_argument("--least", type=float, default=0.95, help="share that must be killed (0.95)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the copies are removed then, too
    every = mutants_of(files_of(options.modules, ROOT / PACKAGE), ROOT / PACKAGE)
    chosen = random.Random(options.seed).sample(every, min(options.n, len(every)))
    say(f"{len(chosen)} of {len(every)} mutants of {', '.join(options.modules)}")
    try:
        fates = run_all(chosen, options.jobs, options.timeout)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    survivors = sorted(
        (mutant for mutant, fate in fates.items() if fate in ("survived", "no tests")),
        key=lambda mutant: (mutant.path, mutant.line),
    )
    for mutant in survivors:
        text = (ROOT / PACKAGE / mutant.path).read_text(encoding="utf-8").splitlines()[mutant.line - 1].strip()
        say(f"\n{PACKAGE / mutant.path}:{mutant.line}: {mutant.what} ({fates[mutant]})\n    {text}")
    killed = len(chosen) - len(survivors)
    share = killed / len(chosen) if chosen else 1.0
    say(f"\n{killed} of {len(chosen)} mutants killed: {share:.1%}")
    return 0 if share >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
