"""`python -m ohmweave` is the `ohmweave` command."""

from ohmweave.cli import main

if __name__ == "__main__":
    main()
