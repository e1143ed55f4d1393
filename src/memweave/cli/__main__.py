"""`python -m memweave.cli` is the `memweave` command."""

from memweave.cli.app import main

if __name__ == "__main__":
    main()
