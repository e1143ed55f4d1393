"""Work divided among threads."""

import os
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from ohmweave.arrays import ConvGeometry
from ohmweave.arrays.reads.patches import _depthwise
from ohmweave.base import in_threads


@pytest.fixture(params=[1, 2, 3])
def n_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
def test_every_piece_is_done_once_and_in_order(n: int, n_threads: int) -> None:
    done = in_threads(n, lambda first, last: list(range(first, last)))
    assert [one for part in done for one in part] == list(range(n))
    assert len(done) == max(1, min(n, n_threads))


def test_small_work_stays_in_its_thread(n_threads: int) -> None:
    assert in_threads(9, lambda *_: threading.get_ident(), at_least=5) == [threading.get_ident()]


def test_depthwise_reads_have_the_same_bits() -> None:
    pytest.importorskip("numba")
    x, k, geometry = torch.rand(1, 7, 6, 5, 8), torch.rand(1, 8, 1, 3, 3), ConvGeometry(kernel_size=(3, 3))
    before, found = torch.get_num_threads(), []
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        found.append(torch.stack(_depthwise(x, k, k.square(), geometry)))
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_an_error_is_raised(n_threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(4, lambda first, last: first // 0)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        in_threads(4, lambda first, last: None)
        child = os.fork()
        if not child:
            os._exit(len(in_threads(4, lambda first, last: None)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    finally:
        torch.set_num_threads(before)
