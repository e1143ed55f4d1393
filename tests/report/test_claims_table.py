import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources

import pytest
from rich.console import Console

from ohmweave.experiments import VERDICTS, Row
from ohmweave.report import claims_markdown, claims_table, claims_text
from ohmweave.report.claims_table import _STYLES, count_verdicts
from tests.helpers import assert_close
from tests.helpers.experiments import CLAIMS, NAME, experiment, only_registered, row


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with only_registered(experiment()):
        yield


def rows(data: str) -> list[Row]:
    return [
        row({"n_heads": [50 + seed, 60 + seed], "n_tosses": 100, "g": 1e-6 / 3}, seed=seed, data=data, scale="full")
        for seed in range(2)
    ]


def test_a_line_has_the_promised_fields_in_si_and_fractions() -> None:
    lines = claims_table({NAME: rows("mnist")})
    assert json.loads(json.dumps(lines)) == lines
    heads = lines[0]
    assert_close([heads.pop("ours")], [0.555], rtol=1e-12)
    assert heads.pop("low") < 0.555 < heads.pop("high")
    assert heads.pop("other").startswith("2 of 2 rows were computed by other code: ohmweave of unknown version")
    assert heads == {
        "experiment": NAME,
        "claim": "heads",
        "data": "mnist",
        "scale": "full",
        "seeds": None,
        "quantity": "share of heads",
        "unit": "1",
        "paper": 0.55,
        "n": 4,
        "accept": "within 2.00 % of the paper",
        "verdict": "reproduced",
        "where": "Table 1",
        "note": "a <fair> coin",
    }
    assert [line["verdict"] for line in lines] == ["reproduced", "not met", "not run"]
    assert lines[1]["ours"] == 1e-6 / 3
    assert lines[1]["low"] is None


def test_digits_and_mnist_in_one_folder_are_never_one_number() -> None:
    lines = claims_table({NAME: rows("mnist") + rows("digits")})
    heads = [(line["data"], line["n"], line["verdict"]) for line in lines if line["claim"] == "heads"]
    assert heads == [("digits", 4, "not comparable (digits, not MNIST)"), ("mnist", 4, "reproduced")]


def test_experiments_without_rows_are_not_run_and_unknown_ones_left_out() -> None:
    lines = claims_table({NAME: [], "gone/away": rows("mnist")})
    assert {line["experiment"] for line in lines} == {NAME}
    assert {kind: count for kind, count in count_verdicts(lines).items() if count} == {"not run": 3}


def test_text_for_the_terminal_takes_everything_literally() -> None:
    lines = claims_table({NAME: rows("digits")})
    lines[0]["quantity"] = "share of [red]heads[/red]"
    console = Console(file=io.StringIO(), width=200)
    console.print(claims_text(lines))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("coins/toss · digits, full scale", "[red]heads[/red]", "55.50 %", "333.3 nS", "<fair>"):
        assert part in text
    assert "without rows here: " in text
    assert "3 claims: 1 not met, 1 not comparable, 1 not run" in text


def test_text_without_any_rows_names_every_claim() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(claims_text(claims_table({NAME: []})))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("not run") == 4  # three claims, and the count
    assert "without rows here" not in text


def test_a_note_of_several_claims_is_printed_once() -> None:
    lines = claims_table({NAME: rows("digits")})
    for line in lines:
        line["note"] = "of one chip"
    console = Console(file=io.StringIO(), width=200)
    console.print(claims_text(lines))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("of one chip") == 1
    assert f"{lines[0]['quantity']}; {lines[1]['quantity']}: of one chip" in text


def test_markdown_is_one_table_for_each_setting() -> None:
    lines = claims_table({NAME: rows("digits") + rows("mnist")})
    lines[0]["note"] = "a | b"
    text = claims_markdown(lines)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert text.count("### coins/toss · ") == 2
    assert len(tables) == 2 * (2 + 3)
    assert {line.replace("\\|", "").count("|") for line in tables} == {9}


def test_every_verdict_has_a_style_in_the_terminal_and_on_the_page() -> None:
    style = resources.files("ohmweave.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    assert set(_STYLES) == set(VERDICTS)
    for verdict in VERDICTS:
        assert re.search(rf"^(.*, )?\.{verdict.replace(' ', '-')}[ ,].*background:", style, re.MULTILINE), verdict


def test_the_note_says_more_than_the_claim_s_own() -> None:
    changed = replace(CLAIMS[0], declared="2026-11-26, late", accept=None)
    with only_registered(experiment(claims=(changed,))):
        (line,) = claims_table({NAME: rows("mnist")})
    assert (line["verdict"], line["accept"]) == ("not judged", "")
    assert line["note"] == "a <fair> coin; declared 2026-11-26, late"
