"""Every file that the documentation links or names is there."""

from pathlib import Path

from tests.docs import markdown


def test_links_lead_somewhere(repository: Path) -> None:
    broken = [
        f"{page.relative_to(repository)}: {target}"
        for page in markdown.files(repository)
        for target in markdown.links(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_named_files_exist(repository: Path) -> None:
    missing = [
        f"{page.relative_to(repository)}: {name}"
        for page in markdown.files(repository)
        for name in markdown.named_files(page.read_text(encoding="utf-8"))
        if not (repository / name).exists()
    ]
    assert not missing, "\n".join(missing)


def test_index_leads_to_every_page(repository: Path) -> None:
    docs = repository / "docs"
    index = {(docs / target).resolve() for target in markdown.links((docs / "index.md").read_text(encoding="utf-8"))}
    pages = {page.resolve() for page in docs.glob("**/*.md")} - {(docs / "index.md").resolve()}
    assert pages <= index, f"docs/index.md links no {sorted(page.name for page in pages - index)}"
