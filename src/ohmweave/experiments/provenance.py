"""The versions with which a row is computed, and the commit of the package's own checkout."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from ohmweave.experiments.computing import computing


def versions() -> dict[str, str]:
    """Versions of ohmweave, torch and Python ("unknown" for a package that is not installed), and `computing()`."""
    named = {"ohmweave": _version("ohmweave"), "torch": _version("torch"), "python": platform.python_version()}
    return named | computing()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


@cache
def commit() -> str | None:
    """Git commit of the checkout that this package runs from, as `commit_of` gives it."""
    return commit_of(Path(__file__).resolve().parents[1])


def commit_of(package: Path) -> str | None:
    """Git commit of the checkout whose src/ohmweave is `package`, with "+changes" if files in it were edited since.

    None for an installed package, even if it is installed inside another project's checkout.
    """
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() / "src" / "ohmweave" != package:
        return None
    head = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--", ".")
    return f"{head}+changes" if head and changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
