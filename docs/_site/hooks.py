"""What MkDocs calls while it builds the site: pages from files outside `docs`, and one API page a public package.

The Markdown files of the repository are written to be read where they are, so that their links are changed here. The
API pages are made from the `__all__` of each package, so that every exported name is in the reference.
"""

import importlib
import pkgutil
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

# Pages of the site that are files elsewhere in the repository.
OUTSIDE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}

# Files that the documentation links and that the site shows as they are.
ATTACHED = ("LICENSE", "CITATION.cff")

# The packages whose names users import; the papers are described on pages of their own, and the commands too.
PACKAGES = [
    module.name
    for module in pkgutil.iter_modules([str(ROOT / "src" / "ohmweave")])
    if module.ispkg and module.name not in ("cli", "papers")
]

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of `docs`."""
    for path, page in OUTSIDE.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_at_home(text, path)))
    for name in ATTACHED:
        files.append(File.generated(config, f"{name}.txt", content=(ROOT / name).read_text(encoding="utf-8")))
    for name in ("site.css", "iframe-worker.js"):
        files.append(
            File.generated(config, f"_static/{name}", content=Path(__file__).with_name(name).read_text("utf-8"))
        )
    files.append(File.generated(config, "api/index.md", content=_contents()))
    for package in ("ohmweave", *(f"ohmweave.{name}" for name in PACKAGES)):
        page = f"api/{package.rpartition('.')[2]}.md"
        files.append(File.generated(config, page, content=_reference(package)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files outside `docs` lead to their pages."""
    path = page.file.src_uri
    return markdown if path in OUTSIDE.values() or path.startswith("api/") else _at_home(markdown, f"docs/{path}")


def _at_home(text: str, path: str) -> str:
    """`text` of the file `path` of the repository, its links as they are on the site."""
    folder = posixpath.dirname(path)
    page_folder = posixpath.dirname(OUTSIDE.get(path, path.removeprefix("docs/")))

    def on_the_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        on_site = f"{target}.txt" if target in ATTACHED else OUTSIDE.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(on_site, page_folder or ".")

    return _LINK.sub(on_the_site, text)


def _exported(package: str) -> list[str]:
    """The public names of a package, without the packages that `ohmweave` names."""
    names: list[str] = importlib.import_module(package).__all__
    return [name for name in names if package != "ohmweave" or name not in (*PACKAGES, "__version__")]


def _reference(package: str) -> str:
    """The page of one package: its docstring and its public names in alphabetical order."""
    title = f"# `{package}`\n\n{_summary(package, whole=True)}\n\n"
    return title + "\n\n".join(f"::: {package}.{name}" for name in sorted(_exported(package), key=str.lower)) + "\n"


def _contents() -> str:
    rows = (f"| [`ohmweave.{name}`]({name}.md) | {_summary(f'ohmweave.{name}')} |" for name in PACKAGES)
    head = "# API reference\n\nEvery public name, with its arguments, shapes, units, errors and sources.\n\n"
    head += "The names that scripts use most are in [`ohmweave`](ohmweave.md) itself.\n\n"
    head += "| package | what is in it |\n|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _summary(package: str, *, whole: bool = False) -> str:
    text = importlib.import_module(package).__doc__ or ""
    return text.strip() if whole else text.strip().splitlines()[0]
