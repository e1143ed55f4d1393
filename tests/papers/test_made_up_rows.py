"""Claims that could fail: only the paper's own numbers are reproduced, perfect and broken cells are not."""

import pytest

import ohmweave.papers  # noqa: F401  registers the experiments
from ohmweave.experiments import Claim, Equal, Experiment, experiments, judge
from tests.papers.made_up import BROKEN, PAPER, PERFECT, ROWS, SITUATIONS

WITHOUT_CELLS = {
    ("stellar2023/last-layer", "pulses"): "the number of pulses follows from the rule and its threshold",
    ("wang2019/array-law", "device-slope"): "a check of a digitised table",
    ("wang2019/convlstm", "in-batch-noise-free"): "a simulation without noise and stuck cells",
    ("wang2019/mlp", "saved"): "a count of weights",
    ("yao2020/efficiency", "adc-1024"): "arithmetic of printed figures",
    ("yao2020/efficiency", "cells-1024"): "arithmetic of printed figures",
    ("yao2020/efficiency", "density"): "arithmetic of printed figures",
    ("yao2020/efficiency", "throughput"): "arithmetic of printed figures",
    ("yao2020/efficiency", "v100"): "arithmetic of printed figures",
    ("yao2020/efficiency", "v100-area"): "arithmetic of printed figures",
    ("yao2020/replication", "factor"): "a schedule",
    ("yao2020/stages", "software"): "software",
}
"""Claims that no cell takes part in, with the reason. Counts (`Equal`) need no entry."""


def judged(experiment: Experiment) -> list[Claim]:
    """The claims on a number of a paper that have a verdict."""
    return [claim for claim in experiment.claims if claim.paper is not None and claim.accept is not None]


def names() -> list[str]:
    """Every registered experiment that judges a number of a paper."""
    return [name for name, experiment in experiments().items() if judged(experiment)]


def faults(name: str, claim: Claim) -> list[str]:
    """What is wrong with a claim of experiment `name`, judged on the three kinds of made-up rows."""
    findings = {situation: judge(claim, ROWS[name](situation)) for situation in SITUATIONS}
    found = [f"{claim.key}: {situation} rows give no number" for situation, one in findings.items() if not one.estimate]
    if findings[PAPER].verdict not in ("reproduced", "explained"):
        found.append(f"{claim.key}: the paper's own number is {findings[PAPER]}")
    if isinstance(claim.accept, Equal) or (name, claim.key) in WITHOUT_CELLS:
        return found
    # Perfect cells are on the good side of the paper's own one-sided words.
    must_fail = (BROKEN,) if claim.one_sided else (BROKEN, PERFECT)
    passed = [situation for situation in must_fail if findings[situation].verdict in ("reproduced", "explained")]
    return found + [f"{claim.key}: {situation} cells are {findings[situation]}" for situation in passed]


@pytest.mark.parametrize("name", names())
def test_only_the_paper_s_own_numbers_are_reproduced(name: str) -> None:
    assert name in ROWS, f"`ROWS` of tests/papers/made_up.py must have made-up rows of {name}"
    wrong = [fault for claim in judged(experiments()[name]) for fault in faults(name, claim)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(experiments()))
def test_rows_are_made_up_for_what_is_registered(name: str) -> None:
    assert set(ROWS) <= set(experiments())
    keys = {claim.key for claim in experiments()[name].claims}
    assert {key for of, key in WITHOUT_CELLS if of == name} <= keys
