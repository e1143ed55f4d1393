"""The `memweave` command. Each subcommand is one module here and one line in `commands`."""

from memweave.cli.commands import app, main

__all__ = ["app", "main"]
