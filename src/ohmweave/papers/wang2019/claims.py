"""Claims that the networks of the paper share: what they count, and how well they learn."""

from ohmweave.experiments import Acceptance, Claim, Equal, Needs, Within, mean_rate_of, value_of

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


def on_test(
    key: str, quantity: str, paper: float, where: str, *, variant: str, accept: Acceptance, note: str = ""
) -> Claim:
    """Test accuracy of a variant, mean of the chips."""
    return Claim(
        key=key,
        quantity=quantity,
        unit="1",
        paper=paper,
        where=where,
        estimate=mean_rate_of("n_correct", "n_test", where={"variant": variant}),
        accept=accept,
        needs=MNIST,
        note=note,
    )


def in_batch(key: str, quantity: str, paper: float, where: str, *, variant: str) -> Claim:
    """In-batch accuracy of a variant in the second epoch, within two points of the paper's curve."""
    return Claim(
        key=key,
        quantity=f"in-batch accuracy {quantity}, second epoch",
        unit="1",
        paper=paper,
        where=where,
        estimate=mean_rate_of("n_in_batch", "n_seen", where={"variant": variant}),
        accept=Within(absolute=0.02),
        needs=MNIST,
    )
