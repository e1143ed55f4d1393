"""Refusal of copies and pickles of objects that share the state of a chip."""

from typing import Any, NoReturn

from ohmweave.base.errors import WeightOnChipError


class NotCopied:
    """Base of objects that `copy` and `pickle` refuse.

    A copy would share some cells, counters and random streams with the original but not others.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse: both modules ask here.

        Raises:
            WeightOnChipError: always.
        """
        raise WeightOnChipError(
            f"a {type(self).__name__} cannot be copied or pickled, because its state is that of a chip: save and load "
            "a network with `ohmweave.save` and `ohmweave.load`, or make a new chip and load the `state_dict` of this"
        )
