"""Crafted rows, logs, results folders and measured files: nothing wrong is accepted, no error is another library's.

OHMWEAVE_FUZZ is the number of rows; of results folders and of files for `fit` there are fewer, because each is run
through whole commands. OHMWEAVE_FUZZ_FOLDERS and OHMWEAVE_FUZZ_FITS set these.
"""

import copy
import hashlib
import json
import math
import os
import random
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ohmweave.cli import main
from ohmweave.experiments import Row, Task, read_log
from ohmweave.experiments.stored_row import NotARowError, parse_row
from tests.helpers.experiments import NAME, experiment, only_registered
from tests.report.test_page import LINE, TABLE

N_ROWS = int(os.environ.get("OHMWEAVE_FUZZ", "500"))
N_FOLDERS = int(os.environ.get("OHMWEAVE_FUZZ_FOLDERS", "12"))
N_FITS = int(os.environ.get("OHMWEAVE_FUZZ_FITS", "25"))
SLOWEST = 2.0  # s, for one row
FIELDS = {"id", "experiment", "params", "seed", "result", "versions", "commit"}

RECORD = {"phase": "x", "layer": "y", "component": "z", "energy": -1.0, "time": "1", "area": None, "chips": 0}
NASTY: list[Any] = [
    None, True, -1, 0, 1.5, 2**63, 10**400, -(10**30), 1e308, float("nan"), float("inf"), "", "x", "\x1b[2J", "[/]",
    "\ud800", "/../../../victim", "a|b\n", "<b>", "0" * 16, "9" * 5000, [], {}, [[]], {"": {}}, [1, "x", None],
    {"data": {"a": []}}, [{"phase": 1}], [RECORD],
]  # fmt: skip


def _row(seed: int, **params: Any) -> Row:
    task = Task(experiment=NAME, params=params, seed=seed)
    bill = {"phase": "inference", "layer": "fc", "component": "ADC", "count": 4, "energy": 1e-12, "time": 1e-9}
    result = {"n_heads": [50 + seed], "n_tosses": 100, "g": 1e-6, "bill": [bill | {"area": 0.0, "source": "ours"}]}
    versions = {"ohmweave": "0.1.0", "torch": "2.6.0", "python": "3.11.7"}
    return Row(
        id=task.id, experiment=NAME, params=params, seed=seed, result=result, versions=versions, commit="ab" * 20
    )


SOUND = [
    _row(0),
    _row(1, data="digits", scale="smoke"),
    _row(2, data="mnist", scale="full", seeds=10, layers=["C1", "C2"], device={"d2d": 0.1}),
]


def _without_check(line: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(line)
    del content["check"]
    return content


def _bytes(pick: random.Random, line: bytes) -> bytes:
    """A line with some bytes changed, removed, doubled or put in."""
    text = bytearray(line)
    for _ in range(pick.choice((1, 1, 2, 20))):
        at = pick.randrange(len(text) or 1)
        match pick.randrange(5):
            case 0:
                text[at : at + 1] = bytes([pick.randrange(256)])
            case 1:
                del text[at : at + pick.randrange(1, 9)]
            case 2:
                text[at:at] = text[pick.randrange(len(text) or 1) :][: pick.randrange(1, 30)]
            case 3:
                text[at:at] = pick.choice(
                    (b"\xff", b"\x00", b"NaN", b"1e999", b"[" * 500, b'"', b"{", b"\xed\xa0\x80", b"0")
                )
            case _:
                text = text[: at + 1]
    return bytes(text).replace(b"\n", b"")


def _places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, part in items:
        yield from _places(part, (*path, key))


def _content(pick: random.Random, content: dict[str, Any]) -> dict[str, Any]:
    """A row's content with one value replaced, removed or put in."""
    content = copy.deepcopy(content)
    *path, last = pick.choice([place for place in _places(content) if place])
    parent: Any = content
    for key in path:
        parent = parent[key]
    kind = pick.randrange(3)
    if kind == 0:
        del parent[last]
    elif kind == 1 and isinstance(parent, dict):
        parent[pick.choice(("data", "scale", "seeds", "bill", "x", ""))] = copy.deepcopy(pick.choice(NASTY))
    else:
        parent[last] = copy.deepcopy(pick.choice(NASTY))
    return content


def _digest(content: Any) -> str:
    """The digest of the format, computed here anew."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _id(content: dict[str, Any]) -> str:
    return _digest({name: content.get(name) for name in ("experiment", "params", "seed")})


def _crafted(pick: random.Random) -> bytes:
    """One line: damaged, edited, edited by somebody who knows of the digest, or of the digest and the id."""
    sound = pick.choice(SOUND)
    line = sound.to_line()
    kind = pick.randrange(5)
    if kind == 0:
        return _bytes(pick, line.encode())
    content = _content(pick, _without_check(line))
    if kind == 1:
        content["check"] = json.loads(line)["check"]
    if kind == 4:
        content["id"] = _id(content)
    if kind in (3, 4):
        content["check"] = _digest(content)
    return json.dumps(content).encode()


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    if isinstance(value, int | float):
        try:
            return math.isfinite(value)
        except OverflowError:
            return False
    return True


def _wrong(line: bytes, row: Row) -> str:
    """Why `row` should not have been read from `line`; empty if it is right. Independent of the reader."""
    content = json.loads(line)
    check = content.pop("check", None)
    if content.keys() != FIELDS or not _finite(content):
        return "fields or numbers"
    if check is not None and check != _digest(content):
        return "digest"
    if not row.id == content["id"] == _id(content):
        return "id"
    types = {"id": str, "experiment": str, "params": dict, "seed": int, "result": dict, "versions": dict}
    if any(type(content[name]) is not kind for name, kind in types.items()):
        return "types"
    if set(content["experiment"]) - set("abcdefghijklmnopqrstuvwxyz0123456789._-/") or ".." in content["experiment"]:
        return "experiment"
    params = content["params"]
    if not all(isinstance(params.get(name), str | None) for name in ("data", "scale")):
        return "scope"
    if params.get("seeds") is not None and not (type(params["seeds"]) is int and params["seeds"] > 0):
        return "seeds"
    if not all(isinstance(version, str) for version in content["versions"].values()):
        return "versions"
    same = (row.experiment, row.params, row.seed, row.commit) == tuple(
        content[name] for name in ("experiment", "params", "seed", "commit")
    )
    return "" if same and isinstance(row.commit, str | None) else "another row"


def test_no_wrong_row_is_accepted() -> None:
    pick = random.Random(13)
    accepted = 0
    for number in range(N_ROWS):
        line = _crafted(pick)
        start = time.monotonic()
        try:
            row = parse_row(line)
        except NotARowError:
            continue
        finally:
            assert time.monotonic() - start < SLOWEST, number
        accepted += 1
        assert not (why := _wrong(line, row)), (number, why, line)
    assert 0 < accepted < N_ROWS / 2
    assert all(parse_row(one.to_line().encode()) == one for one in SOUND)


def test_no_wrong_time_is_read_from_a_log(tmp_path: Path) -> None:
    pick = random.Random(14)
    sound = {"id": SOUND[0].id, "seconds": 1.5, "started": "2020-01-30T12:00:00+00:00"}
    for _ in range(N_ROWS):
        if pick.randrange(2):
            line = _bytes(pick, json.dumps(sound).encode())
        else:
            line = json.dumps(_content(pick, sound)).encode()
        (tmp_path / "log.jsonl").write_bytes(line + b"\n")
        for name, seconds in read_log(tmp_path).items():
            assert isinstance(name, str)
            assert math.isfinite(seconds)
            assert seconds >= 0


def _state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def _command(*arguments: str) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    code = ended.value.code
    return code if isinstance(code, int) else 0


def _make_folder(pick: random.Random, folder: Path, outside: Path) -> None:
    for name in pick.sample(("a", "b", NAME, "c/d/e"), pick.randrange(1, 4)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = [_crafted(pick) for _ in range(pick.randrange(1, 30))]
        lines += [one.to_line().encode() for one in pick.sample(SOUND, pick.randrange(0, 3))]
        pick.shuffle(lines)
        (folder / name / "rows.jsonl").write_bytes(b"\n".join(lines) + pick.choice((b"", b"\n")))
        (folder / name / "log.jsonl").write_bytes(_bytes(pick, b'{"id":"x","seconds":1.5}\n' * 3))
    match pick.randrange(6):
        case 0:
            (folder / "figures").symlink_to(outside)
        case 1:
            (folder / "report.html").symlink_to(outside / "page.html")
        case 2:
            (folder / "x").symlink_to(folder)
        case 3:
            (folder / "f" / "rows.jsonl").mkdir(parents=True)


def test_no_results_folder_stops_a_command_or_leads_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ohmweave.experiments.load_installed", list)
    pick = random.Random(15)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "page.html").write_text("mine")
    with only_registered(experiment(figures=(LINE,), tables=(TABLE,))):
        for number in range(N_FOLDERS):
            folder = tmp_path / "deep" / "deeper" / str(number)
            folder.mkdir(parents=True)
            _make_folder(pick, folder, outside)
            before = _state(outside)
            for arguments in (
                ["claims"],
                ["claims", "--markdown"],
                ["claims", "--json"],
                ["report"],
                ["cost", NAME, "--results"],
            ):
                assert _command(*arguments, str(folder)) in (0, 1), (number, arguments)
            assert _command("run", NAME, "--seeds", "3", "--out", str(folder)) == 0, number
            out, err = capsys.readouterr()
            assert not any(character < " " and character != "\n" for character in out + err), number
            assert "Traceback" not in err
            assert _state(outside) == before, number
            assert {path.name for path in tmp_path.iterdir()} == {"outside", "deep"}, number
            assert {path.name for path in (tmp_path / "deep").iterdir()} == {"deeper"}, number


CELLS = [
    f"A{cell},{pulse},{1 if pulse < 9 else -1},{2 + 0.3 * min(pulse, 18 - pulse) + 0.1 * cell + 0.02 * (pulse % 3)}"
    for cell in range(6)
    for pulse in range(18)
]
CSV = "\n".join(["cell,pulse,polarity,g (uS)", *CELLS]) + "\n"


def test_no_measured_file_ends_in_a_foreign_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pick = random.Random(16)
    path = tmp_path / "trains.csv"
    path.write_text(CSV)
    assert _command("fit", str(path), "--law", "linear", "--no-figure") == 0
    words = (
        b"nan",
        b"inf",
        b"1e400",
        b"-1",
        b"SET",
        b",",
        b"\t",
        b'"',
        b"9" * 5000,
        b"\xff",
        b"\x1b[2J",
        b"[/]",
        b"(S)",
        b"-0",
        b"\n",
    )
    for number in range(N_FITS):
        text = bytearray(CSV.encode())
        for _ in range(pick.choice((1, 1, 3, 30))):
            at = pick.randrange(len(text))
            word = pick.choice(words)
            match pick.randrange(4):
                case 0:
                    text[at] = pick.randrange(256)
                case 1:
                    text[at : at + pick.randrange(4)] = word
                case 2:
                    del text[at : at + pick.randrange(1, 60)]
                case _:
                    text[at:at] = text[pick.randrange(len(text)) :][:40]
        path.write_bytes(text)
        code = _command("fit", str(path), "--law", "linear", "--no-figure")
        out, err = capsys.readouterr()
        assert code in (0, 1), (number, bytes(text))
        assert code == 0 or err.splitlines()[-1].startswith("error: "), (number, err)
        assert not any(character < " " and character != "\n" for character in out + err), number
