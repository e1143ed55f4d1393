"""The studies that come with ohmweave, by name."""

import os
from collections.abc import Mapping
from pathlib import Path

from ohmweave.base import DataError
from ohmweave.explore.declared import Study, read_study
from ohmweave.explore.value_kinds import nearest

_FOLDER = Path(__file__).parent / "studies"


def shipped() -> Mapping[str, Path]:
    """The files of the studies that come with ohmweave, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def find_study(study: str | os.PathLike[str]) -> Study:
    """The study of a file, or the shipped study of a name.

    Raises:
        DataError: there is neither; the message gives the names, and the nearest.
        OutOfRangeError: as `read_study`.
    """
    known = shipped()
    if str(study) in known:
        return read_study(known[str(study)])
    if not Path(study).is_file():
        near = nearest(str(study), tuple(known))
        raise DataError(f"`STUDY.toml` must be a file, or one of {', '.join(known)}, but is {str(study)!r}{near}")
    return read_study(study)
