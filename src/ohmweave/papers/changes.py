"""Dates and reasons of claims that were added or changed after results were known."""


def changed(how: str) -> str:
    """Text for `Claim.declared` of a claim changed or added with the two-sided verdicts; `how` says what."""
    return f"2026-11-26, after results were known: {how}"


TWO_SIDED = changed("judged on both sides; before, one side counted or the limits were wider")
NOT_JUDGED_NOW = changed("shown without a verdict; before, it was judged")
OURS_NOW = changed("a condition of ours; before, it was judged as a number of the paper")
ADDED = changed("added")
