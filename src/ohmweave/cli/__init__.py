"""The `ohmweave` command. Each subcommand is one module here and one line in `commands`."""

from ohmweave.cli.commands import app, main

__all__ = ["app", "main"]
