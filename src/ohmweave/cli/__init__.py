"""The `ohmweave` command. Each subcommand is the module here that has its name, and one line in `commands`."""

from ohmweave.cli.commands import app, main

__all__ = ["app", "main"]
