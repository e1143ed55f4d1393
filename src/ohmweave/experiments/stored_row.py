"""One line of a rows file as a row. A file may have been edited, damaged or made by somebody else: all is checked.

The id of a row is computed again from its experiment, params and seed. A digest under "check" covers the rest; rows of
earlier versions have none.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from ohmweave.base.errors import ExperimentError, OutOfRangeError
from ohmweave.experiments.old_names import renamed
from ohmweave.experiments.tasks import CHECK, Row, Task, digest_of
from ohmweave.experiments.values import JSON, plain

LONGEST_NAME = 200
"""Characters in the name of an experiment."""
DEEPEST = 40
"""Lists and mappings inside each other in a row. Python's own limit on recursion is met at some hundreds."""

NAME = re.compile(r"[a-z0-9._-]*[a-z0-9](/[a-z0-9._-]*[a-z0-9])*")
"""Names of experiments: they are parts of paths."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "id": (str,),
    "experiment": (str,),
    "params": (dict,),
    "seed": (int,),
    "result": (dict,),
    "versions": (dict,),
    "commit": (str, type(None)),
}
_WORDS = {str: "text", dict: "a mapping", int: "an integer", type(None): "null"}


class NotARowError(Exception):
    """A line is not a row; the message is the reason."""


class RowWarning(UserWarning):
    """Stored rows were left out or are doubtful; the message names the file and the lines."""


def parse_row(line: bytes) -> Row:
    """The row in one line.

    Raises:
        NotARowError: the line is no JSON object in UTF-8 with exactly the fields of a row; a field has another type; a
            number is NaN or infinite; the id or the digest is not that of the content.
    """
    content = _content(line)
    check = content.pop(CHECK, None)
    _check_fields(content)
    try:
        task = Task(experiment=content["experiment"], params=content["params"], seed=content["seed"])
    except OutOfRangeError as error:
        raise NotARowError(str(error)) from None
    if content["id"] != task.id:
        raise NotARowError(f"its id is that of another task: it must be {task.id} for this content")
    if check is not None and check != digest_of(content):
        raise NotARowError("it was changed after it was written: its digest is that of another content")
    return Row(**{**content, "result": renamed(content["result"])})


def _content(line: bytes) -> dict[str, JSON]:
    try:
        content = json.loads(line.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refused_constant)
        _check_depth(content, DEEPEST)
        plain(content, "row")
    except UnicodeDecodeError as error:
        raise NotARowError(f"it is not UTF-8 at byte {error.start + 1}") from None
    except RecursionError:
        raise NotARowError("it is nested too deeply") from None
    except ValueError:
        raise NotARowError("it is not JSON") from None
    except ExperimentError as error:
        raise NotARowError(str(error)) from None
    if not isinstance(content, dict) or content.keys() - {CHECK} != _TYPES.keys():
        raise NotARowError("it does not have the fields of a row")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs of a JSON object as a mapping; a key that is there twice is refused."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise NotARowError("it has a key twice")
    return content


def _refused_constant(name: str) -> NoReturn:
    raise NotARowError(f"it holds {name}")


def _check_depth(value: JSON, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise NotARowError(f"it is nested more than {DEEPEST} deep")
    for part in value.values() if isinstance(value, dict) else value:
        _check_depth(part, left - 1)


def _check_fields(content: Mapping[str, JSON]) -> None:
    for name, types in _TYPES.items():
        value = content[name]
        if not isinstance(value, types) or isinstance(value, bool):
            raise NotARowError(f"`{name}` must be {' or '.join(_WORDS[one] for one in types)}")
    name = content["experiment"]
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise NotARowError("`experiment` must be lower-case words joined by - and /")
    if not all(isinstance(version, str) for version in content["versions"].values()):
        raise NotARowError("`versions` must be texts")
    _check_scope(content["params"])


def _check_scope(params: Mapping[str, JSON]) -> None:
    """Check the params that have a meaning outside of the experiment (`ohmweave.experiments.scopes`)."""
    for name in ("data", "scale"):
        if not isinstance(params.get(name), str | None):
            raise NotARowError(f"`params.{name}` must be text")
    seeds = params.get("seeds")
    if seeds is not None and (not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1):
        raise NotARowError("`params.seeds` must be an integer >= 1")
