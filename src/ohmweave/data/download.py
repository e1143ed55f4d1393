"""Downloads with checksums, from the first mirror that has the file."""

from collections.abc import Sequence
from pathlib import Path


class DownloadError(Exception):
    """No mirror gave the file; the message holds the error of each."""


def download(mirrors: Sequence[str], folder: Path, *, known_hash: str) -> Path:
    """Fetch one file into `folder`. It appears there whole and verified, or not at all.

    Args:
        mirrors: addresses of the same file, tried in turn.
        folder: made if it is not there.
        known_hash: "sha256:..." or "md5:..." of the file as served.
    Returns:
        The file's path.
    Raises:
        DownloadError: every mirror failed or served something else.
    """
    import pooch

    failures = []
    for address in mirrors:
        try:
            return Path(pooch.retrieve(address, known_hash, fname=address.rsplit("/", 1)[1], path=folder))
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong checksum is a ValueError
            failures.append(f"{address}: {error}")
    raise DownloadError("; ".join(failures))
