"""Every command has help, and a section in docs/commands.md."""

import re
from pathlib import Path

import pytest
import typer

from ohmweave.cli import app

COMMANDS = typer.main.get_group(app).commands


@pytest.mark.parametrize("name", COMMANDS)
def test_command_and_its_options_have_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help, f"`ohmweave {name}` has no help"
    silent = [option.opts[0] for option in command.params if not getattr(option, "help", None)]
    assert not silent, f"`ohmweave {name}` says nothing about {silent}"


def test_commands_page_has_a_section_for_each_and_no_other(repository: Path) -> None:
    page = (repository / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## `ohmweave ([\w-]+)", page, re.MULTILINE)
    assert sorted(sections) == sorted(COMMANDS)
