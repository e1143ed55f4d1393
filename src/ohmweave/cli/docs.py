"""`ohmweave docs`: where the pages of the documentation are on this machine."""

from pathlib import Path
from typing import Annotated

import typer

Page = Annotated[
    str | None,
    typer.Argument(metavar="[PAGE]", show_default=False, help="A page, such as fit, bench or tutorials/new-rule."),
]


def docs(page: Page = None) -> None:
    """Print the path of a page of the documentation, or of all pages: Markdown files, which this package carries."""
    from ohmweave.base.errors import DataError

    folder = pages_folder()
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.md"))}
    if page is None:
        typer.echo("\n".join(str(path) for path in found.values()))
        return
    name = page.removeprefix("docs/").removesuffix(".md")
    if name not in found:
        raise DataError(f"`PAGE` must be one of {', '.join(found)}, but is {page!r}")
    typer.echo(found[name])


def pages_folder() -> Path:
    """The folder of the pages: inside an installed package, or beside its sources.

    Raises:
        DataError: neither is there.
    """
    import ohmweave
    from ohmweave.base.errors import DataError

    package = Path(ohmweave.__file__).parent
    for folder in (package / "docs", package.parents[1] / "docs"):
        if (folder / "index.md").is_file():
            return folder
    raise DataError(f"the documentation must be in {package / 'docs'}, but is not: install the package again")
