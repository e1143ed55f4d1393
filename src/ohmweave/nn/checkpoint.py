"""`save` and `load`: a network on a chip in one file, with its chip and its learning rule.

A file holds the cells, counters and random streams of the chip, digital parameters and buffers, scales, the last
readouts of the weights, and the rule's state. Loaded into the same model on a chip of the same kind, it continues
training and inference bit for bit. The format is safetensors with JSON, so loading a file runs no code from it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ohmweave.arrays import SavedState
from ohmweave.base import DataError, NotCopied, OutOfRangeError, ShapeError
from ohmweave.base.files import atomic_write, check_path
from ohmweave.cells.saved_cells import was_narrower
from ohmweave.mapping import Chip, FixedScaling, Matrix
from ohmweave.nn.fingerprint import chips_of, differences, fingerprint, weights_of
from ohmweave.nn.optimizer_state import check_optimizer_state
from ohmweave.nn.packed import pack, unpack
from ohmweave.nn.weight import ArrayWeight

FORMAT, VERSION = "ohmweave network", 1
_KEY = "ohmweave"

Rules = torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None
Tensors = dict[str, torch.Tensor]


def save(net: torch.nn.Module, path: str | Path, *, rule: Rules = None) -> None:
    """Write the whole state of a network to `path`; after an error, a file of that name is unchanged.

    All cells of the chip are saved, including those of other networks and of matrices that a rule has placed.

    Args:
        net: a deployed network, or any module with layers on a chip.
        path: the file, which is replaced.
        rule: the learning rule, or a list of it and other optimizers, whose states are saved with the network.

    Raises:
        DataError: `net` has no layer on a chip; the state of the chip's array cannot be saved (for a real array, save
            `net.matrix(name).readout()` and write it with `program`); or a state has a part that is neither a tensor,
            a number nor a string.
    """
    path = check_path("path", path)
    tensors, rules = _state(net, _as_list(rule))
    about = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint(net, _as_list(rule)),
        "rules": rules,
    }
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about["sha256"] = _digest(plain)
    with atomic_write(path) as part:
        save_file(plain, part, metadata={_KEY: json.dumps(about, allow_nan=True)})


def load(net: torch.nn.Module, path: str | Path, *, rule: Rules = None, ignore_rule: bool = False) -> None:
    """Restore the state that `save` wrote to `path`.

    The file is checked before anything is changed, and after an error `net`, its chip and `rule` are as before. The
    state of the whole chip is replaced, including the cells of other networks on it.

    Args:
        net: the same model on a chip of the same kind, with the same placements. Types of modules, and stride, padding
            and the like of layers on chips, are compared; what `forward` does with them is not. Training flags stay.
        path: the file.
        rule: the same rule, or the list of optimizers, made for `net`, in the order given to `save`.
        ignore_rule: True loads the network without the state of the rule, for inference.

    Raises:
        DataError: the file does not exist, is of another format or version, or is damaged; or the network, chip or rule
            differs from the saved one. The message gives the differences.
    """
    optimizers = _as_list(rule)
    path = check_path("path", path)
    about, tensors = _read(path)
    if ignore_rule:
        if optimizers:
            raise DataError("`ignore_rule` must be False where `rule` is given, but is True")
        about = about | {"rules": [], "fingerprint": _without_rules(about["fingerprint"])}
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("rule")}
    elif len(about["rules"]) != len(optimizers):
        raise DataError(
            f"`rule` must be given for each of the {len(about['rules'])} whose state {path} holds, but "
            f"{len(optimizers)} are given; `ignore_rule=True` loads the network alone"
        )
    if found := differences(about["fingerprint"], fingerprint(net, optimizers), ignore_extra_placements=ignore_rule):
        raise DataError(f"{path} was saved from another network, chip or rule: " + "; ".join(found))
    before, rules_before = _state(net, optimizers)
    tensors = _widened(tensors, before)
    _check_tensors(tensors, before, about["rules"], optimizers, path)
    try:
        _assign(net, optimizers, tensors, about["rules"])
    except BaseException:
        _assign(net, optimizers, {name: leaf.clone() for name, leaf in before.items()}, rules_before)
        raise


def _as_list(rule: Rules) -> list[torch.optim.Optimizer]:
    if rule is None:
        return []
    return [rule] if isinstance(rule, torch.optim.Optimizer) else list(rule)


def _state(net: torch.nn.Module, rules: Sequence[torch.optim.Optimizer]) -> tuple[Tensors, list[Any]]:
    """Copies of all tensors by their names in a file, and the other parts of the rules' states as JSON values."""
    weights = weights_of(net)
    if not weights:
        raise DataError("`net` must have a layer on a chip, but has none: `torch.save(net.state_dict())` saves it")
    tensors: Tensors = {}
    for index, chip in enumerate(chips_of(net)):
        tensors |= {f"chip{index}.{name}": leaf.clone() for name, leaf in _saved(chip).items()}
    for name, leaf in _digital(net).items():
        tensors[f"digital.{name}"] = leaf.detach().clone()
    for name, weight in weights.items():
        tensors[f"held.{name}"] = weight.last_readout()
        tensors[f"stale.{name}"] = torch.tensor(weight.is_stale, dtype=torch.bool, device="cpu")
        tensors[f"scale.{name}"] = _scale(weight.matrix)
    structures = []
    for index, rule in enumerate(rules):
        leaves, structure = pack(rule.state_dict())
        tensors |= {f"rule{index}.{name}": leaf.clone() for name, leaf in leaves.items()}
        structures.append(structure)
    return tensors, structures


def _saved(chip: Chip) -> Mapping[str, torch.Tensor]:
    """The state of a chip's array.

    Raises:
        DataError: the state of this kind of array cannot be saved.
    """
    if not isinstance(chip.array, SavedState):
        raise DataError(
            f"`net` must be on an array whose state can be saved, but {type(chip.array).__name__} has none: save the "
            "readouts of its matrices, and write them with `program`"
        )
    return chip.array.state_dict()


def _digital(net: torch.nn.Module) -> Tensors:
    """Digital parameters and persistent buffers, not copied."""
    state = net.state_dict(keep_vars=True)
    digital = {name: leaf for name, leaf in state.items() if not isinstance(leaf, ArrayWeight)}
    for name, leaf in digital.items():
        if not isinstance(leaf, torch.Tensor):
            raise DataError(f"`net` must have a state of tensors, but {name!r} is a {type(leaf).__name__}")
    return digital


def _scale(matrix: Matrix) -> torch.Tensor:
    """`(2,)` float64: g_per_w, S per unit weight, and `x_max` of a fixed input scaling, else 1."""
    x_max = matrix.scaling.x_max if isinstance(matrix.scaling, FixedScaling) else 1.0
    return torch.tensor([matrix.g_per_w, x_max], dtype=torch.float64, device="cpu")


def _read(path: Path) -> tuple[dict[str, Any], Tensors]:
    """The description and the tensors in a file. Raises `DataError` for another format or version."""
    if not path.is_file():
        raise DataError(f"`path` must be a file that `save` wrote, but {path} is not there")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        about = None if text is None else json.loads(text)
    except (SafetensorError, ValueError, OSError) as error:
        raise DataError(f"`path` must be a file that `save` wrote, but {path} cannot be read: {error}") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DataError(
            f"`path` must be a file that `ohmweave.save` wrote, but {path} says nothing of its kind: files of versions "
            "before 1 must be loaded with the version that wrote them"
        )
    if about.get("version") != VERSION:
        raise DataError(f"{path}: `version` must be {VERSION}, but is {about.get('version')!r}")
    if not isinstance(about.get("fingerprint"), dict) or not isinstance(about.get("rules"), list):
        raise DataError(f"{path} must have a fingerprint and a list of rules, but has not")
    if "sha256" in about and about["sha256"] != _digest(tensors):  # files of earlier releases have none
        raise DataError(f"{path} is damaged: its tensors are not those that were saved (their sha256 differs)")
    return about, tensors


def _digest(tensors: Tensors) -> str:
    """The sha256 of names, types, shapes and numbers of `tensors`, on the CPU and contiguous."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        leaf = tensors[name]
        digest.update(f"{name} {leaf.dtype} {tuple(leaf.shape)}\n".encode())
        digest.update(leaf.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _without_rules(saved: dict[str, Any]) -> dict[str, Any]:
    return saved | {"rules": []}


def _widened(tensors: Tensors, like: Tensors) -> Tensors:
    """`tensors` with what earlier versions kept in float32 in float64; see `was_narrower`."""
    return {
        name: leaf.double()
        if was_narrower(name) and leaf.dtype == torch.float32 and name in like and like[name].dtype == torch.float64
        else leaf
        for name, leaf in tensors.items()
    }


def _check_tensors(
    tensors: Tensors,
    like: Tensors,
    rules: Sequence[Any],
    optimizers: Sequence[torch.optim.Optimizer],
    path: str | Path,
) -> None:
    """Raise `DataError` unless `tensors` has the names, shapes and types of `like`, all numbers finite.

    A rule may make tensors in its first step only, so each rule checks its own state.
    """
    mine = {name for name in tensors if not name.startswith("rule")}
    wanted = {name for name in like if not name.startswith("rule")}
    if mine != wanted:
        missing, more = sorted(wanted - mine), sorted(mine - wanted)
        raise DataError(f"{path} must have the tensors of this network, but lacks {missing} and has {more} more")
    for name in wanted:
        leaf, same = tensors[name], like[name]
        free = name.endswith("converters.ranges")  # a row for each placement that was calibrated
        shapes_differ = leaf.shape[1:] != same.shape[1:] if free else leaf.shape != same.shape
        if leaf.dtype != same.dtype or leaf.dim() != same.dim() or shapes_differ:
            raise DataError(
                f"{path}: {name!r} must be {tuple(same.shape)} {same.dtype}, but is {tuple(leaf.shape)} {leaf.dtype}"
            )
        if not name.startswith("digital.") and leaf.is_floating_point() and not bool(leaf.isfinite().all()):
            raise DataError(f"{path}: {name!r} must be finite, but has entries that are NaN or infinite")
        if name.startswith("scale.") and not bool((leaf > 0).all()):
            raise DataError(f"{path}: {name!r} must be > 0, but is {leaf.tolist()}")
    for index, structure in enumerate(rules):
        where = f"{path}: rules[{index}]"
        state = unpack(structure, _part(tensors, f"rule{index}."), where=where)
        if not isinstance(optimizers[index], NotCopied):  # rules of this package check their own state
            check_optimizer_state(optimizers[index], state, where=where)


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): leaf for name, leaf in tensors.items() if name.startswith(prefix)}


def _assign(
    net: torch.nn.Module, rules: Sequence[torch.optim.Optimizer], tensors: Tensors, structures: Sequence[Any]
) -> None:
    """Take over checked tensors. Rules come first, because each may still refuse its state and then changes nothing."""
    for index, (rule, structure) in enumerate(zip(rules, structures, strict=True)):
        try:
            rule.load_state_dict(unpack(structure, _part(tensors, f"rule{index}."), where=f"rules[{index}]"))
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise DataError(f"`rule` must take the state that the file holds, but: {error}") from error
    for index, chip in enumerate(chips_of(net)):
        try:
            chip.load_state_dict(_part(tensors, f"chip{index}."))
        except (OutOfRangeError, ShapeError) as error:
            raise DataError(f"the file must hold the state of a chip, but: {error}") from error
    with torch.no_grad():
        for name, leaf in _digital(net).items():
            leaf.copy_(tensors[f"digital.{name}"])
    for name, weight in weights_of(net).items():
        g_per_w, x_max = tensors[f"scale.{name}"].tolist()
        weight.matrix.g_per_w = g_per_w
        if isinstance(weight.matrix.scaling, FixedScaling):
            weight.matrix.scaling.x_max = x_max
        weight.restore(tensors[f"held.{name}"], stale=bool(tensors[f"stale.{name}"]))
