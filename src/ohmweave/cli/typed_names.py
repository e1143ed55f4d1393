"""Names of arguments in errors, as they are typed: `--v-read` in place of the `v_read` of the Python function."""

import re
from collections.abc import Sequence
from typing import Any

_NAME = re.compile(r"`(\w+)`(?: \(`?(--[\w-]+)`?\))?")


def as_typed(text: str, app: Any, arguments: Sequence[str]) -> str:
    """The text of an error with the names of options and arguments as the command line has them.

    Args:
        text: in which names of Python arguments are in backquotes.
        app: the `typer.Typer` of all commands.
        arguments: what was typed, without the program's name.
    """
    names = _names(app, arguments)

    def typed(found: re.Match[str]) -> str:
        return f"`{found[2] or names.get(found[1], found[1])}`"

    return _NAME.sub(typed, text)


def _names(app: Any, arguments: Sequence[str]) -> dict[str, str]:
    """The option of each Python name of the command that was called; `path` is its first argument."""
    import typer

    command: Any = typer.main.get_group(app)
    for word in arguments:
        known = vars(command).get("commands", {})
        if word not in known:
            break
        command = known[word]
    names: dict[str, str] = {}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            names[parameter.name] = next((one for one in parameter.opts if one.startswith("--")), parameter.opts[0])
        else:
            names.setdefault("path", (parameter.metavar or parameter.name.upper()).strip("[]"))
    names.pop("help", None)
    return names


def without_number(error: OSError) -> str:
    """An error of the disk in words: the file and the reason, without the number of the operating system."""
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
