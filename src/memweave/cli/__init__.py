"""The `memweave` command. Each subcommand is one module here and one line in `app`."""

from memweave.cli.app import main

__all__ = ["main"]
