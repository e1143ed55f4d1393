"""`python -m memweave.cli` is the `memweave` command."""

from memweave.cli.commands import main

if __name__ == "__main__":
    main()
