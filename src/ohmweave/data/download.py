"""Downloads with checksums, from the first mirror that has the file."""

from collections.abc import Sequence
from pathlib import Path


class DownloadError(Exception):
    """The file could not be downloaded from any mirror; the message has the error of each."""


def download(mirrors: Sequence[str], folder: Path, *, known_hash: str) -> Path:
    """Download one file into `folder`. The file is in the folder complete and verified, or not at all.

    Args:
        mirrors: addresses of the same file, tried in turn.
        folder: made if it does not exist.
        known_hash: "sha256:..." or "md5:..." of the file as served.

    Returns:
        The path of the file.

    Raises:
        DownloadError: no mirror could be reached, or each served a file with another checksum.
    """
    import pooch

    failures = []
    for address in mirrors:
        try:
            return Path(pooch.retrieve(address, known_hash, fname=address.rsplit("/", 1)[1], path=folder))
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong checksum is a ValueError
            failures.append(f"{address}: {error}")
    raise DownloadError("; ".join(failures))


def download_unverified(address: str, folder: Path) -> Path:
    """Download one file into `folder`; the caller verifies it.

    Args:
        address: of the file.
        folder: that is there.

    Returns:
        The path of the file.

    Raises:
        DownloadError: it could not be reached.
    """
    import pooch

    try:
        return Path(pooch.retrieve(address, None, fname=address.rsplit("/", 1)[1], path=folder))
    except (OSError, ValueError) as error:
        raise DownloadError(f"{address}: {error}") from error
