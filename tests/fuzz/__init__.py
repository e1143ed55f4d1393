"""Fuzzers of the public face and of files: bounded in the tests, of any length by `make fuzz N=100000`.

    python -m tests.fuzz [N] [--seed S] [--only TEXT]

`cases` holds valid calls, `nasty` perturbs their arguments, `judge` classifies what happened, `runner` counts.
"""
