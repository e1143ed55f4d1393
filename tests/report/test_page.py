import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from ohmweave.base import OutOfRangeError
from ohmweave.experiments import (
    Context,
    ExperimentError,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    read_rows,
    run_experiment,
)
from ohmweave.report import drawn_figures, write_report
from tests.helpers.experiments import experiment, no_progress, only_registered

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects addresses, ids and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open += [] if tag in VOID else [tag]
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def draw(rows: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1e-6 * row.seed for row in rows])
    return figure


def broken(rows: Sequence[Row]) -> Figure:
    raise KeyError("n_edges")


LINE = FigureSpec(name="line", title="A line", caption="Rises & <falls>.", draw=draw)
TABLE = TableSpec(
    name="all",
    title="All",
    caption="Every row.",
    rows=lambda rows: [{"seed": row.seed, "share": row.result["n_heads"][0] / 100} for row in rows] + [{"extra": None}],
)
COINS = experiment(figures=(LINE,), tables=(TABLE,))


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with only_registered(COINS):
        yield


def report_on(folder: Path) -> tuple[str, Page]:
    text = write_report(folder).read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    run_experiment(COINS, Options(out=tmp_path, seeds=2), no_progress)
    text, page = report_on(tmp_path)
    assert page.addresses
    assert all(address.startswith(("#", "data:image/")) for address in page.addresses)
    assert page.tags.isdisjoint({"link", "iframe", "object", "embed"})
    assert re.findall(r"<script[^>]*>", text) == ["<script>"]  # in the page, and it is the package's own
    assert not re.search(r"https?://|@import|url\(", text)
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)


def test_the_page_says_all_and_escapes_it(tmp_path: Path) -> None:
    run_experiment(COINS, Options(out=tmp_path, seeds=2), no_progress)
    text, page = report_on(tmp_path)
    said = " ".join(page.text.split())
    for part in (
        "Author et al., 2020",
        "Second <b>bold</b>.",
        "a <fair> coin",
        "coins are <round>",
        "Rises & <falls>.",
        "digits, smoke scale",
        "55.50 %",
        "within 2.00 % of the paper",
        "1 not comparable",
        "digits, not MNIST",
        "figures/coins-toss-digits-smoke-line.svg",
        "Every row.",
        "0.51",
    ):
        assert part in said
    assert "<b>" not in text
    assert "<fair>" not in text


def test_tables_come_above_the_figures_if_they_say_so(tmp_path: Path) -> None:
    first = replace(TABLE, name="first", title="First of all", above=True)
    coins = replace(COINS, tables=(TABLE, first), claims=(), assumptions=())
    with only_registered(coins):
        run_experiment(coins, Options(out=tmp_path, seeds=2), no_progress)
        text = write_report(tmp_path).read_text(encoding="utf-8")
    assert text.index("First of all</h4>") < text.index("<figure>") < text.index(">All</h4>")
    assert text.count('<table class="cards') == 2


def test_a_bill_is_shown_with_what_stands_behind_it(tmp_path: Path) -> None:
    def billed(task: Task, context: Context) -> Mapping[str, Any]:
        common = {"phase": "training", "count": 1, "energy": 1e-12 * (1 + task.seed), "time": 1e-9, "area": 0.0}
        return {"bill": [common | {"layer": name, "component": "ADC", "chips": 2} for name in ("x", "y")]}

    coins = experiment(run=billed)
    with only_registered(coins):
        run_experiment(coins, Options(out=tmp_path, seeds=3), no_progress)
        said = " ".join(report_on(tmp_path)[1].text.split())
    assert "The bill by layer" in said
    assert "The bill by component" in said
    assert said.count("Of one chip, mean over 3 rows of 2 chips each: counted activity times cited costs.") == 2
    assert "trainingx1 pJ± 124.2 %" in said
    assert "trainingADC2 pJ± 124.2 %" in said


def test_figures_are_saved_beside_the_page_the_same_each_time(tmp_path: Path) -> None:
    run_experiment(COINS, Options(out=tmp_path), no_progress)
    first = write_report(tmp_path).read_bytes()
    saved = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert set(saved) == {"coins-toss-digits-smoke-line.svg", "coins-toss-digits-smoke-line.png"}
    assert write_report(tmp_path).read_bytes() == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == saved


def test_a_large_drawing_goes_in_as_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_figures, "LARGEST_SVG", 10)
    run_experiment(COINS, Options(out=tmp_path), no_progress)
    _, page = report_on(tmp_path)
    assert any(address.startswith("data:image/png;base64,") for address in page.addresses)


def test_several_experiments_and_settings_share_a_page(tmp_path: Path) -> None:
    other = experiment(name="dice/roll", title="Dice")
    with only_registered(COINS, other):
        for data in ("digits", "mnist"):
            run_experiment(COINS, Options(out=tmp_path / data, data=data), no_progress)
        run_experiment(other, Options(out=tmp_path / "digits"), no_progress)
        _, page = report_on(tmp_path)
    assert {"coins-toss-digits-smoke", "coins-toss-mnist-smoke"} <= set(page.ids)
    assert "1 reproduced" in page.text


def test_one_bad_figure_or_table_costs_itself_only(tmp_path: Path) -> None:
    bad = experiment(
        figures=(
            FigureSpec(name="bad", title="Bad", caption="", draw=broken),
            FigureSpec(name="none", title="None", caption="", draw=lambda rows: None),
            LINE,
        ),
        tables=(TableSpec(name="worse", title="Worse", caption="", rows=lambda rows: [{}["x"]]), TABLE),
    )
    with only_registered(bad):
        run_experiment(bad, Options(out=tmp_path), no_progress)
        with pytest.warns(RuntimeWarning) as warned:
            _, page = report_on(tmp_path)
    assert "This figure could not be drawn from these rows: KeyError: 'n_edges'." in page.text
    assert "There are no rows to draw this figure from yet." in page.text
    assert "could not be made from these rows: KeyError: 'x'" in page.text
    assert sum(address.startswith("data:") for address in page.addresses) == 1
    assert len(warned) == 2


def test_rows_without_their_experiment_are_named(tmp_path: Path) -> None:
    run_experiment(COINS, Options(out=tmp_path), no_progress)
    with only_registered():
        _, page = report_on(tmp_path)
    assert "rows of coins/toss, an experiment that was not found" in page.text
    assert "There are no rows yet" not in page.text


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    assert "There are no rows yet." in report_on(tmp_path)[1].text


def test_rows_from_two_versions_are_both_named(tmp_path: Path) -> None:
    summary = run_experiment(COINS, Options(out=tmp_path, seeds=2), no_progress)
    first, second = read_rows(summary.path)
    other = replace(second, versions={**second.versions, "torch": "9.9.9"})
    summary.path.write_text(first.to_line() + "\n" + other.to_line() + "\n")
    text = report_on(tmp_path)[1].text
    assert re.search(r"torch\s*\S+, 9\.9\.9", text)
    assert re.search(r"1 of 2 rows was computed by other code: ohmweave \S+ with torch 9\.9\.9", text)


def test_a_folder_that_is_no_path_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(OutOfRangeError, match="`folder` must be a path, but is 3"):
        write_report(3)  # type: ignore[arg-type]
    with pytest.raises(ExperimentError):
        write_report("a folder that is not there")
    assert write_report(str(tmp_path)) == tmp_path / "report.html"
