"""Contracts that cells, arrays, layers and rules keep, as tests to inherit or call: for ours and for anybody's."""

from ohmweave.testing.books import check_books

__all__ = ["check_books"]
