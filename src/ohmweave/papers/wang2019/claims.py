"""Claims that the networks of the paper share: what they count, and how well they learn."""

from ohmweave.experiments import Claim, Equal, Needs, Within, mean_rate_of, value_of
from ohmweave.papers.changes import TWO_SIDED, changed

FULL = Needs(scale="full")
MNIST = Needs(data="mnist", scale="full")
EVER = Needs()


def counted(result: str, quantity: str, paper: int, where: str, *, needs: Needs = EVER) -> Claim:
    """A number that must be equal, under the key and in the result `n_RESULT`."""
    return Claim(
        key=result,
        quantity=quantity,
        unit=result,
        paper=paper,
        where=where,
        estimate=value_of(f"n_{result}"),
        accept=Equal(),
        needs=needs,
    )


def on_test(key: str, quantity: str, paper: float, where: str, *, variant: str, tolerance: float, note: str) -> Claim:
    """Test accuracy of a variant, mean of the chips, within `tolerance` of the paper's; `note` has its reason."""
    return Claim(
        key=key,
        quantity=quantity,
        unit="1",
        paper=paper,
        where=where,
        estimate=mean_rate_of("n_correct", "n_test", where={"variant": variant}),
        accept=Within(absolute=tolerance),
        needs=MNIST,
        better="higher",
        note=note,
        declared=TWO_SIDED,
    )


def in_batch(key: str, quantity: str, paper: float, where: str, *, variant: str, tolerance: float, note: str) -> Claim:
    """In-batch accuracy of a variant in the second epoch, within `tolerance` of the paper's curve."""
    return Claim(
        key=key,
        quantity=f"in-batch accuracy {quantity}, second epoch",
        unit="1",
        paper=paper,
        where=where,
        estimate=mean_rate_of("n_in_batch", "n_seen", where={"variant": variant}),
        accept=Within(absolute=tolerance),
        needs=MNIST,
        better="higher",
        note=note,
        declared=changed("the tolerance was 2 points, more than the curve is uncertain by"),
    )
