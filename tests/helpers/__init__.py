"""Shared by all tests. `assert_close` is the only numeric comparison allowed in this suite."""

from tests.helpers.closeness import assert_close

__all__ = ["assert_close"]
