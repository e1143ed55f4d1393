"""Public measurements of resistive memories: found in a folder, or downloaded from pinned commits and verified.

Files are verified by git's own checksum of their content (SHA-1 of `blob`, length and bytes), which a commit fixes.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.data.download import DownloadError, download_unverified
from ohmweave.data.sources import HOW_TO_NAME_A_FOLDER, cache_folder, search_folders

ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
FOLDER = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFile:
    """One file of a repository.

    Args:
        path: in the repository.
        blob: git's checksum of the content, 40 hex digits.
        name: of the file in the set's folder.
    """

    path: str
    blob: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSet:
    """The files of one source.

    Args:
        name: of the set, and of its folder.
        repository: owner and name on GitHub.
        commit: 40 hex digits.
        licence: in words.
        holds: what was measured.
        files: of the set.
    """

    name: str
    repository: str
    commit: str
    licence: str
    holds: str
    files: tuple[MeasuredFile, ...]

    def address(self, file: MeasuredFile) -> str:
        """Where a file is downloaded from."""
        return ADDRESS.format(repository=self.repository, commit=self.commit, path=file.path)


def _files(folder: str, blobs: dict[str, str]) -> tuple[MeasuredFile, ...]:
    return tuple(MeasuredFile(path=folder + name, blob=blob, name=name) for name, blob in blobs.items())


_TAOX = "examples/lookup_table_generation/lookup_table_example/"
MEASURED_SETS = (
    MeasuredSet(
        name="rram-relaxation",
        repository="akashlevy/RRAM-Relaxation-Master-Model",
        commit="ca0cfff655a7392dc8955585f7345303b3cffde8",
        licence="MIT, Akash Levy",
        holds="three RRAM technologies: noise in time, relaxation after a write, bake",
        files=_files(
            "data/",
            {
                "techA/tsdata.min.tsv.gz": "e9546875832dba77cac070c9656ecb41895072ce",
                "techA/bake.tsv.gz": "aa4de06aa602ba4904f17f8ad44e9043efc374c3",
                "techB/relaxdata.min.tsv.gz": "69f1707ffce2dba47071b89d854f2c88458d17af",
                "techC/relaxdata.min.tsv.gz": "8425831ed206f60d94dd49d7c383c273077474b1",
            },
        )
        + _files("", {"LICENSE": "d5778b64baeaf69af52dda56002a57ebc5d9f1cc"}),
    ),
    MeasuredSet(
        name="ni-rram",
        repository="robert-radway/NI-RRAM-Python",
        commit="6bceb458a6d4b190cb6839781eef922553c95f07",
        licence="MIT, Akash Levy",
        holds="1T1R arrays: cycling, bake, reads at several voltages",
        files=_files(
            "data/",
            {
                "100cyc.tsv": "4d6d665617729f3420d73d8c672ed47c03b84f7d",
                "1us_endurance.tsv": "df031f6d4eb5bbad3760c7d38f9815e4667e668c",
                "prebake.tsv": "f07081ed5a8fdb3f49f442bc003be46a4f34c4cf",
                "postbake.tsv": "864225034bf92d108daded5fdaab42e006e9b381",
                "read_multivolt.tsv": "80699f44570fdaaeba4923bd403e0b5f764c26fa",
            },
        )
        + _files("", {"LICENSE": "d5778b64baeaf69af52dda56002a57ebc5d9f1cc"}),
    ),
    MeasuredSet(
        name="gong2018",
        repository="IBM/aihwkit",
        commit="4545f11b5214c5e3c6b9d293053bbf8baf74e110",
        licence="MIT, IBM",
        holds="ReRAM after Gong et al. 2018: a SET and a RESET train, normalised",
        files=_files("examples/csv/", {"gong_et_al.csv": "0b98ead2924a0bdc1400e440ac587b8984b2e669"})
        + _files("", {"LICENSE.txt": "5eb1830bf1b5a01b776d48e1ca0ea77ba7e1315a"}),
    ),
    MeasuredSet(
        name="cross-sim-v2",
        repository="sandialabs/cross-sim",
        commit="b30b36596290a946ccaf7624ce3f39461ed74460",
        licence="BSD 3-Clause, Sandia National Laboratories",
        holds="TaOx: ramps of SET and RESET pulses read at 0.1 V; an I-V table",
        files=_files(
            _TAOX,
            {
                "set.csv": "a3f59fa580a5a5bc825f7472352aa3453087b7c9",
                "reset.csv": "e5f04e7cb0267fb31b82be69dc974965c03f6599",
                "iv_test.csv": "72c738dade905a5d0d9ed2bfd2a3d9561bc6c8d5",
            },
        )
        + _files("", {"LICENSE.md": "7c8b0f43c133051ed44d35656ba6e25d0d8b5c61"}),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file that is there and verified.

    Attributes:
        of: its set.
        path: of the file.
        downloaded: True if this call downloaded it.
    """

    of: MeasuredSet
    path: Path
    downloaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A file that is not there.

    Attributes:
        of: its set.
        name: of the file in the set's folder.
        why: where it was looked for and why it was not downloaded, or what is wrong with it.
        instead: files in its place that begin with the same word, such as a part of its lines; not verified.
    """

    of: MeasuredSet
    name: str
    why: str
    instead: tuple[Path, ...]


def measured(
    name: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    allow_download: bool = True,
) -> Iterator[FoundFile]:
    """The files of public measurements, verified, one after the other; those that are nowhere are downloaded.

    Each is looked for as `measured/SET/FILE` and `SET/FILE` in `data_dir`, in the folder that the environment variable
    OHMWEAVE_DATA names, and in the cache, where downloads go.

    Args:
        name: of one of `MEASURED_SETS`; None: of all.
        data_dir: a folder to look in first.
        allow_download: False raises instead of downloading.

    Yields:
        One file after the other, in the order of `MEASURED_SETS`.

    Raises:
        OutOfRangeError: there is no set `name`.
        DataError: a file is damaged, or was not found and cannot be downloaded.
    """
    for one in measured_files(name, data_dir=data_dir, allow_download=allow_download):
        if isinstance(one, MissingFile):
            raise DataError(one.why)
        yield one


def measured_files(
    name: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    allow_download: bool = True,
) -> Iterator[FoundFile | MissingFile]:
    """As `measured`, but a file that is missing or damaged is told as such, and the next ones follow.

    Args:
        name: of one of `MEASURED_SETS`; None: of all.
        data_dir: a folder to look in first.
        allow_download: False tells a missing file instead of downloading it.

    Yields:
        One file after the other, in the order of `MEASURED_SETS`.

    Raises:
        OutOfRangeError: there is no set `name`.
    """
    names = [one.name for one in MEASURED_SETS]
    if name is not None and name not in names:
        raise OutOfRangeError(f"`name` must be one of {', '.join(names)}, but is {name!r}")
    folders = search_folders(data_dir, [FOLDER])
    for one in MEASURED_SETS:
        for file in one.files if name in (None, one.name) else ():
            path = next((at for at in (folder / one.name / file.name for folder in folders) if at.is_file()), None)
            try:
                if path is not None:
                    _verify(path.read_bytes(), file, str(path))
                    yield FoundFile(of=one, path=path, downloaded=False)
                    continue
                path = _download(one, file, folders, allowed=allow_download)
                yield FoundFile(of=one, path=path, downloaded=True)
            except DataError as error:
                instead = () if path is not None else _instead(one, file, folders)
                yield MissingFile(of=one, name=file.name, why=str(error), instead=instead)


def _instead(one: MeasuredSet, file: MeasuredFile, folders: list[Path]) -> tuple[Path, ...]:
    places = [(folder / one.name / file.name).parent for folder in folders]
    word = file.name.rsplit("/", 1)[-1].split(".")[0]
    found = [path for place in places if place.is_dir() for path in place.glob(f"{word}*")]
    return tuple(sorted({path for path in found if path.is_file()}))


def git_blob(data: bytes) -> str:
    """Git's checksum of a file with this content: 40 hex digits."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _verify(data: bytes, file: MeasuredFile, source: str) -> None:
    if (found := git_blob(data)) != file.blob:
        raise DataError(
            f"{source} is truncated or corrupted: expected the git checksum {file.blob}, but it has {found}. Delete it "
            f"and let it be downloaded, or put the original elsewhere and {HOW_TO_NAME_A_FOLDER}."
        )


def _download(one: MeasuredSet, file: MeasuredFile, folders: list[Path], *, allowed: bool) -> Path:
    """The file in the cache, complete and verified, or not at all."""
    target = cache_folder() / FOLDER / one.name / file.name
    reason = "downloads are switched off"
    if allowed:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            try:
                part = download_unverified(one.address(file), Path(folder))
                _verify(part.read_bytes(), file, one.address(file))
                part.replace(target)
                return target
            except DownloadError as error:
                reason = str(error)
    looked = ", ".join(str(folder) for folder in folders)
    raise DataError(
        f"{one.name}/{file.name} was not found in {looked}, and was not downloaded: {reason}. Put the file there, in "
        f"{FOLDER}/{one.name}, or {HOW_TO_NAME_A_FOLDER}."
    )
