"""`python -m ohmweave.cli` is the `ohmweave` command."""

from ohmweave.cli.commands import main

if __name__ == "__main__":
    main()
