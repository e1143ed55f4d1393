"""The papers behind a run, and the page at the widths of a desk and of a telephone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ohmweave.report import REFERENCES, bibtex, cited, other_sources, write_report
from tests.helpers.experiments import experiment, only_registered, row

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_works_are_found_by_what_rows_and_experiments_name() -> None:
    named = row({"n_heads": [1], "n_tosses": 2}, seed=0, data="mnist", rule="Tiki-Taka v2")
    found = {one.key: what for one, what in cited({"coins/toss": [named]}, {"coins/toss": experiment()})}
    assert {"ohmweave", "lecun1998", "gokmen2021"} <= found.keys()
    assert found["gokmen2021"] == "coins/toss"
    assert "krizhevsky2009" not in found
    assert "prezioso2015" not in found


def test_prices_are_cited_by_the_sources_on_the_bill() -> None:
    bill = [{"source": "A. Shafiee et al. (ISAAC), ISCA 2016, 14"}, {"source": "a data sheet"}]
    results = {"coins/toss": [row({"bill": bill}, seed=0)]}
    assert "shafiee2016" in {one.key for one, _ in cited(results, {})}
    assert other_sources(results) == ["a data sheet"]
    assert "% not in the list, cited as: a data sheet" in bibtex(results, {})


@pytest.mark.parametrize("one", REFERENCES, ids=lambda one: one.key)
def test_entries_are_bibtex(one: "object") -> None:
    text = one.bibtex()  # type: ignore[attr-defined]
    assert text.count("{") == text.count("}")
    assert re.match(r"@\w+\{\w+,\n", text)
    assert "year" in text
    assert "\n\n" not in text


MEASURE = """<!doctype html><title></title><body><script>
(async () => {
  const wide = [];
  for (const width of [420, 1400]) {
    const frame = document.createElement("iframe");
    frame.style = `width: ${width}px; height: 900px; border: 0`;
    const loaded = new Promise((done) => (frame.onload = done));
    frame.src = "report.html";
    document.body.append(frame);
    await loaded;
    const inside = frame.contentDocument;
    if (inside.documentElement.scrollWidth > width) wide.push(`the page at ${width}`);
    for (const chip of inside.querySelectorAll("td .chip")) {
      const box = chip.getBoundingClientRect();
      if (box.left < 0 || box.right > width) wide.push(`a verdict at ${width}`);
    }
  }
  document.title = `measured: ${wide.join(", ")}`;
})();
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.slow
def test_verdicts_are_on_the_screen_of_a_telephone(tmp_path: Path) -> None:
    folder = tmp_path / "coins" / "toss"
    folder.mkdir(parents=True)
    line = row({"n_heads": [50, 60], "n_tosses": 100, "g": 1e-6}, seed=0, data="mnist").to_line()
    (folder / "rows.jsonl").write_text(line + "\n", encoding="utf-8")
    with only_registered(experiment()):
        write_report(tmp_path)
    page = tmp_path / "measure.html"
    page.write_text(MEASURE, encoding="utf-8")
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--virtual-time-budget=20000", "--allow-file-access-from-files"]
    shown = subprocess.run([CHROMIUM, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True).stdout
    assert "<title>measured: </title>" in shown, re.findall("<title>.*?</title>", shown)
