"""Crafted files: what is accepted must be what was saved, what is refused must say so and change nothing."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import ohmweave as ow
from ohmweave.base import DataError, OhmweaveError
from ohmweave.nn.checkpoint import _digest
from tests.fuzz.judge import Kind, Outcome, refusal
from tests.fuzz.nasty import perturbed
from tests.fuzz.runner import Tally
from tests.fuzz.watched import digest

Content = tuple[dict[str, torch.Tensor], dict[str, Any]]
"""The tensors of a checkpoint, and its description."""

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "chips, float64": {"n_chips": 2, "dtype": torch.float64},
    "converters": {
        "dac": ow.arrays.DAC(bits=4, v_max=0.2, signed=True),
        "adc": ow.arrays.ADC(bits=8, signed=True, offset=0.2),
    },
    "drift": {"cell": ow.cells.yao2020(read_noise=0.01, drift=True)},
    "gate": {"cell": ow.cells.wang2019()},
}
OTHERS: tuple[dict[str, Any], ...] = (
    {"rows": 24},
    {"cols": 24},
    {"n_arrays": 3},
    {"n_chips": 3},
    {"dtype": torch.float16},
    {"v_read": 0.15},
    {"cell": ow.cells.soft_bounds(g_min=2e-6, g_max=20e-6, levels=99)},
    {"wires": ow.arrays.Wires(r_row=1.0, r_col=1.0)},
    {"dac": ow.arrays.DAC(bits=5, v_max=0.2, signed=True)},
    {"adc": ow.arrays.ADC(bits=7)},
    {"first": "another"},
    {"lines": "rows"},
    {"rule": "sign"},
)
"""One change of the chip, placement, mapping or rule each."""


class Trained:
    """A network of two layers, batch norm, and rules with a step behind them."""

    def __init__(
        self, seed: int = 1, *, first: str = "", lines: str = "columns", rule: str = "mixed", **chip: Any
    ) -> None:
        cell = chip.pop("cell", None) or ow.cells.soft_bounds(g_min=2e-6, g_max=20e-6, levels=100)
        if chip.get("dtype") == torch.float16:  # a chip cannot have it, so another type
            chip["dtype"] = torch.float64
        torch.default_generator.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3))
        self.chip = ow.Chip(cell, **{"n_arrays": 2, "rows": 16, "cols": 16, "seed": seed} | chip)
        if first:
            self.chip.place(first, (2, 2))
        mapping = ow.DifferentialPair(lines=lines, g_unit=5e-6)
        self.net = ow.deploy(model, self.chip, write=None, mapping=mapping, scaling=ow.mapping.FixedScaling)
        self.net.to(self.chip.array.dtype)
        weights = self.net.chip_parameters()
        if rule == "mixed":
            made: torch.optim.Optimizer = ow.optim.MixedPrecision(weights, lr=0.1, g_step=2e-7)
        else:
            made = ow.optim.SignPulse(weights)
        self.rules = [made, torch.optim.Adam(self.net.digital_parameters(), lr=0.01)]
        self.train()

    def train(self) -> None:
        """One step."""
        x = torch.linspace(0, 1, 20, dtype=self.chip.array.dtype).view(4, 5)
        self.net(x).square().sum().backward()
        for rule in self.rules:
            rule.step()
            rule.zero_grad()

    def digest(self) -> str:
        """Of everything."""
        return digest([self.net, self.chip, *self.rules])


def content_of(path: Path) -> Content:
    """The tensors and the description in a file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["ohmweave"])  # noqa: SIM118


def write(content: Content, path: Path, *, signed: bool) -> None:
    """Write a checkpoint by hand; `signed`: with the right sha256, as somebody who crafts a file would."""
    tensors, about = content
    tensors = {name: leaf.contiguous().clone() for name, leaf in tensors.items()}
    if signed:
        about = about | {"sha256": _digest(tensors)}
    save_file(tensors, path, metadata={"ohmweave": json.dumps(about)})


class Checkpoints:
    """Crafted checkpoints of one kind of chip.

    Args:
        kind: of `KINDS`.
        folder: for the files.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.path = kind, folder / "crafted.safetensors"
        self.right = folder / f"{kind}.safetensors".replace(", ", "-")
        saved = Trained(1, **KINDS[kind])
        ow.save(saved.net, self.right, rule=saved.rules)
        self.bytes, self.content = self.right.read_bytes(), content_of(self.right)
        self.target = Trained(2, **KINDS[kind])
        self.before = self.right.with_suffix(".before")
        ow.save(self.target.net, self.before, rule=self.target.rules)

    def one(self, rng: random.Random) -> tuple[Outcome, str]:
        """One crafted file, loaded."""
        how = rng.choice((self._bytes, self._bytes, self._tensor, self._tensor, self._description, self._other))
        what, harmless = how(rng)
        digested = self.target.digest()
        try:
            ow.load(self.target.net, self.path, rule=self.target.rules)
        except DataError:
            same = self.target.digest() == digested
            return (Outcome(Kind.REFUSED) if same else Outcome(Kind.HALF, what)), what
        except Exception as error:  # noqa: BLE001 - the point of a fuzzer
            return Outcome(Kind.FOREIGN, refusal(error, wrong_type=False).what or repr(error)[:120]), what
        sound = harmless or self._as_saved()
        ow.load(self.target.net, self.before, rule=self.target.rules)
        return (Outcome(Kind.OK) if sound else Outcome(Kind.NONSENSE, what)), what

    def _as_saved(self) -> bool:
        """True if the accepted file says what the right one says."""
        found = self.target.digest()
        ow.load(self.target.net, self.right, rule=self.target.rules)
        return found == self.target.digest()

    def _bytes(self, rng: random.Random) -> tuple[str, bool]:
        data = bytearray(self.bytes)
        kind = rng.randrange(4)
        if kind == 0:
            data = data[: rng.randrange(len(data))]
        elif kind == 1:
            at = rng.randrange(8)  # the length of the header
            data[at] ^= 1 << rng.randrange(8)
        else:
            for _ in range(rng.choice((1, 1, 4, 64))):
                data[rng.randrange(min(len(data), 4000) if kind == 2 else len(data))] = rng.randrange(256)
        self.path.write_bytes(bytes(data))
        return f"{('cut', 'length', 'header', 'bytes')[kind]} of the file", False

    def _tensor(self, rng: random.Random) -> tuple[str, bool]:
        """A tensor is changed, dropped, added or renamed, and the sha256 is right for it."""
        tensors, about = dict(self.content[0]), self.content[1]
        name = rng.choice(sorted(tensors))
        kind, harmless = rng.randrange(6), False
        if kind == 0:
            del tensors[name]
        elif kind == 1:
            tensors[f"{name}.more"] = tensors[name]
        elif kind == 2:
            other = rng.choice(sorted(tensors))
            tensors[name], tensors[other] = tensors[other], tensors[name]
            harmless = _alike(tensors[name], tensors[other])
        else:
            while not isinstance(changed := perturbed(tensors[name], rng).value, torch.Tensor):
                pass
            harmless = _plausible(name, changed, tensors[name])
            tensors[name] = changed
        write((tensors, about), self.path, signed=True)
        return f"tensor {name}, change {kind}", harmless

    def _description(self, rng: random.Random) -> tuple[str, bool]:
        """A value of the description is changed, or a key dropped."""
        about = json.loads(json.dumps(self.content[1]))
        holder, key = rng.choice(list(_places(about)))
        where = f"description at {key!r}"
        if rng.random() < 0.3:
            del holder[key]
        else:
            try:
                holder[key] = perturbed(holder[key], rng).value
                json.dumps(about, allow_nan=True)
            except (TypeError, ValueError):
                holder[key] = rng.choice((None, -1, "x", [], {}, 1e308, True))
        if holder is about and key == "sha256":
            return self._bytes(rng)
        try:
            write((self.content[0], about), self.path, signed=False)
        except (TypeError, ValueError, UnicodeEncodeError):
            return self._bytes(rng)
        # Hyperparameters of rules are data, which may differ from those here.
        return where, "rules" in about and about.get("fingerprint") == self.content[1]["fingerprint"]

    def _other(self, rng: random.Random) -> tuple[str, bool]:
        """A right file of another chip, placement, mapping or rule."""
        change = rng.choice(OTHERS)
        same = all(KINDS[self.kind].get(name, None) == value for name, value in change.items())
        try:
            other = Trained(3, **KINDS[self.kind] | change)
        except ValueError:  # the two do not go together
            return self._bytes(rng)
        ow.save(other.net, self.path, rule=other.rules)
        return f"file of a chip with {change}", same or (change == {"dtype": torch.float16} and self._is_double())

    def _is_double(self) -> bool:
        return self.target.chip.array.dtype == torch.float64


def _places(value: Any) -> Any:
    """(holder, key) of every value in nested JSON."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, part in items:
        yield value, key
        yield from _places(part)


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """True if two tensors can take each other's place."""
    return one.shape == other.shape and one.dtype == other.dtype


def _plausible(name: str, changed: torch.Tensor, saved: torch.Tensor) -> bool:
    """True if the changed tensor could have been saved: a file with other sound numbers is a file like others."""
    if changed.shape != saved.shape or changed.dtype != saved.dtype:
        return name.endswith("converters.ranges") and changed.dtype == saved.dtype and changed.shape[1:] == (4,)
    if name.startswith("digital.") or not changed.is_floating_point():
        return True
    signed = name.startswith(("held.", "rule")) or name.split(".")[-1] in ("offset", "inl", "gain", "first_miss")
    return bool(changed.isfinite().all()) and (signed or bool((changed >= 0).all()))


def run_checkpoints(folder: Path, *, n: int, seed: int) -> Tally:
    """Load `n` crafted checkpoints."""
    rng, tally = random.Random(seed), Tally()
    kinds = [Checkpoints(kind, folder) for kind in KINDS]
    for k in range(n):
        one = kinds[k % len(kinds)]
        outcome, what = one.one(rng)
        tally.add(f"checkpoint of {one.kind}", outcome, what)
    return tally


def mutated(text: str, rng: random.Random) -> str:
    """Text with a few characters changed, cut, repeated, or a number replaced by another."""
    kind = rng.randrange(5)
    at = rng.randrange(max(len(text), 1))
    if kind == 0:
        return text[:at]
    if kind == 1:
        return (
            text[:at] + rng.choice(('"', "{", "}", ",", "nan", "-", "1e999", "\0", "é", "\n", "[", "null")) + text[at:]
        )
    if kind == 2:
        end = min(len(text), at + rng.randrange(1, 40))
        return text[:at] + text[end:]
    if kind == 3:
        end = min(len(text), at + rng.randrange(1, 40))
        return text[:end] + text[at:]
    starts = [index for index, one in enumerate(text) if one.isdigit()] or [0]
    at = rng.choice(starts)
    number = rng.choice(("-1", "0", "1e308", "1e-320", "NaN", "Infinity", "9" * 400, "true", '"x"', "[]", "1e400"))
    return text[:at] + number + text[at + 1 :]


def run_texts(name: str, texts: list[str], path: Path, use: Callable[[Path], Any], *, n: int, seed: int) -> Tally:
    """Mutate text files and use them; only `OhmweaveError`s may come out, and what is accepted must be usable."""
    rng, tally = random.Random(seed), Tally()
    for _ in range(n):
        text = mutated(rng.choice(texts), rng)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        try:
            use(path)
        except OhmweaveError:
            tally.add(name, Outcome(Kind.REFUSED), "")
        except Exception as error:  # noqa: BLE001 - the point of a fuzzer
            what = refusal(error, wrong_type=False).what or repr(error)[:120]
            tally.add(name, Outcome(Kind.FOREIGN, what), text[-60:])
        else:
            tally.add(name, Outcome(Kind.OK), "")
    return tally
