"""Random numbers by counter: published words, uniform and independent, compiled as in NumPy."""

import numpy as np
import pytest
import torch
from scipy import stats

from ohmweave.base import generator, has_numba
from ohmweave.base.counters import new_key, new_keys, random_words, uniform


def test_words_are_those_of_splitmix64():
    """The first outputs of the author's program for the seed 1234567, and for 0."""
    words = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert random_words(1234567, np.arange(5)).tolist() == words
    assert int(random_words(0, np.arange(1))[0]) == 0xE220A8397B1DCDAF


def test_numbers_are_uniform_and_independent_of_counter_and_key():
    one, other = (uniform(new_key(generator(seed, "x")), np.arange(100_000)) for seed in (1, 2))
    assert one.min() >= 0
    assert one.max() < 1
    assert stats.kstest(one, "uniform").pvalue > 1e-3
    for left, right in ((one[:-1], one[1:]), (one[:-4], one[4:]), (one, other)):
        assert abs(np.corrcoef(left, right)[0, 1]) < 5 / len(left) ** 0.5


def test_keys_at_once_are_keys_one_by_one():
    one, other = generator(3, "x"), generator(3, "x")
    singly = [new_key(one) for _ in range(50)]
    assert new_keys(other, 50).tolist() == singly
    assert torch.equal(one.get_state(), other.get_state())


@pytest.mark.skipif(not has_numba(), reason="needs Numba")
def test_compiled_words_have_the_same_bits():
    from ohmweave.base.compiled_counters import random_word
    from ohmweave.base.compiled_counters import uniform as compiled_uniform

    key = 2**63 - 5
    counters = np.array([0, 1, 2**40 + 3])
    assert [int(random_word(np.uint64(key), int(i))) for i in counters] == random_words(key, counters).tolist()
    assert [compiled_uniform(np.uint64(key), int(i)) for i in counters] == uniform(key, counters).tolist()
