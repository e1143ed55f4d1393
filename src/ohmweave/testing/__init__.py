"""Contracts that every cell, array, layer and rule keeps, as classes of tests that a subclass runs on its own."""

from ohmweave.testing.rules import RuleContract

__all__ = ["RuleContract"]
