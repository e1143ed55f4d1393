"""Mutated study files: each is refused by key, value and what it must be, or its designs can be built and run."""

import copy
import json
import math
import random
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohmweave.base import OhmweaveError
from ohmweave.explore import checked, read_study, study
from ohmweave.explore.keys import keys
from tests.fuzz.judge import Kind, Outcome, refusal, unsound
from tests.fuzz.runner import Tally

Content = dict[str, dict[str, Any]]

BASES: tuple[Content, ...] = (
    {
        "study": {"chips": 2, "n_train": 60, "n_validation": 20, "n_test": 20, "within": 0.01},
        "space": {
            "network": "mlp", "epochs": 1, "rows": [32, 64], "cols": 64, "wire": "1 Ohm", "tolerance": 0.05,
            "dac_bits": 2, "adc_bits": ["none", 4], "columns_per_adc": 2, "levels": 15,
        },
    },
    {
        "study": {
            "method": "sobol", "points": 2, "chips": 2, "n_train": 60, "n_validation": 20, "n_test": 20,
            "objectives": ["accuracy", "pulses"],
        },
        "space": {
            "training": "in situ", "learning_epochs": 1, "rule": ["mixed precision", "pulsed SGD"],
            "rate": {"low": 0.001, "high": 0.1, "log": True}, "rows": 64, "cols": 64, "age": "1 hour",
        },
    },
)  # fmt: skip
"""Valid studies that run within a second or so."""

_VALUES: tuple[Any, ...] = (
    -1, 0, 1, 3, 2**31, 10**30, 0.5, -0.25, 1e300, math.inf, math.nan, True, "", "none", "nan", "-3 Ohm", "5",
    "1 furlong", "0 Ohm", "2 S", "1e999 Ohm", "µ" * 500, "../no-such-network.py", [], [1, "x"], [[1]], {}, {"low": 1},
    {"low": 5, "high": 2},
    {"low": 1, "high": 2, "log": "yes"}, "in situ", "analogue", 2.0, "1 Ohm", 0.02,
)  # fmt: skip


def mutated(content: Content, rng: random.Random) -> tuple[Content, str]:
    """The study with one mutation, and the key that it is at."""
    made = copy.deepcopy(content)
    table = rng.choice(("study", "space", "space"))
    key = rng.choice(list(made[table]))
    kind = rng.random()
    if kind < 0.25:
        wrong = misspelt(key, rng)
        made[table] = {(wrong if name == key else name): value for name, value in made[table].items()}
        return made, wrong
    if kind < 0.4:
        key = rng.choice(list(keys()))
        made["space"][key] = rng.choice(_VALUES)
    elif kind < 0.5:
        del made[table][key]
    elif kind < 0.65 and isinstance(made[table][key], list | dict):
        inside = made[table][key]
        made[table][key] = (
            [*inside, rng.choice(_VALUES)]
            if isinstance(inside, list)
            else inside | {rng.choice((*inside, "lo")): rng.choice(_VALUES)}
        )
    else:
        made[table][key] = rng.choice(_VALUES)
    return made, key


def misspelt(word: str, rng: random.Random) -> str:
    """The word with a letter left out, doubled, exchanged or replaced."""
    at = rng.randrange(len(word))
    return rng.choice(
        (word[:at] + word[at + 1 :], word[: at + 1] + word[at:], word[:at] + "q" + word[at + 1 :], word + "s")
    )


def toml(content: Mapping[str, Any]) -> str:
    """The study as TOML."""
    lines: list[str] = []
    for table, entries in content.items():
        lines += [f"[{table}]", *(f"{json.dumps(name)} = {_value(value)}" for name, value in entries.items()), ""]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_value(one)}" for name, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def run_studies(folder: Path, *, n: int, seed: int, run_every: int) -> Tally:
    """Check `n` mutated files, and run every `run_every`-th of those that are accepted."""
    rng, tally, n_accepted = random.Random(seed), Tally(), 0
    path = folder / "study.toml"
    for _ in range(n):
        content, key = mutated(rng.choice(BASES), rng)
        path.write_text(toml(content), encoding="utf-8")
        outcome = outcome_of(path, key)
        if outcome.kind == Kind.OK:
            n_accepted += 1
            if n_accepted % run_every == 0 and _is_small(path):
                outcome = run_outcome(path, folder / "out")
        tally.add("study", outcome, path.read_text())
    return tally


def outcome_of(path: Path, key: str) -> Outcome:
    """What checking the file gives: a refusal must name the key, and say what it must be or have."""
    try:
        checked(read_study(path))
    except OhmweaveError as error:
        text = str(error)
        if key not in text and not any(f"`space.{name}`" in text or f"`study.{name}`" in text for name in _linked(key)):
            return Outcome(Kind.FOREIGN, f"refused without {key!r}: {text[:200]}")
        return Outcome(Kind.REFUSED) if " must " in text else Outcome(Kind.FOREIGN, f"without what it must be: {text}")
    except Exception as error:  # noqa: BLE001 - the point of a fuzzer
        return refusal(error, wrong_type=False)
    return Outcome(Kind.OK)


def _linked(key: str) -> tuple[str, ...]:
    """Keys whose refusal a change of `key` may cause."""
    return {
        "adc_bits": ("columns_per_adc", "adc_range", "subtract", "adc_design"),
        "dac_bits": ("dac",),
        "training": ("learning_epochs", "rule", "rate", "levels", "copies", "noise", "epochs"),
        "method": ("points", "rate"),
        "wire": ("unused",),
    }.get(key, ())


def _is_small(path: Path) -> bool:
    declared = read_study(path)
    trained = max(v for v in declared.space["epochs"] if isinstance(v, int))  # type: ignore[union-attr]
    epochs = declared.space["learning_epochs"]
    taught = max(epochs) if isinstance(epochs, tuple) else 99  # type: ignore[type-var]
    limits = (declared.n_train, declared.n_validation, declared.n_test)
    small = all(n is not None and n <= 100 for n in limits) and declared.chips <= 4 and (declared.points or 0) <= 8
    return small and trained <= 30 and taught is not None and taught <= 12 and declared.method != "search"  # type: ignore[operator]


def run_outcome(path: Path, out: Path) -> Outcome:
    """What running the file gives: all figures must be finite, none below zero."""
    shutil.rmtree(out, ignore_errors=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = study(path, out=out)
            found.write()
    except Exception as error:  # noqa: BLE001 - the point of a fuzzer
        return Outcome(Kind.LATE, f"{type(error).__name__}: {str(error)[:300]}")
    bad = unsound(list(found.records()), negative=False)
    return Outcome(Kind.NONSENSE, bad) if bad else Outcome(Kind.OK)
