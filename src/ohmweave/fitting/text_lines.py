"""The lines of a text file as instruments and spreadsheets write it: plain or `.gz`, in UTF-8, UTF-16 or Latin-1."""

import codecs
import gzip
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from ohmweave.base import DataError

LARGEST_FILE = 2**30
"""Bytes of a file, uncompressed, above which it is refused: a small `.gz` may expand to any size."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LINE_END = re.compile(r"\r\n|\n|\r")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_COMMENT = re.compile(r"\s*(#|%|//|!)")


class Line(NamedTuple):
    """One line of a file: `at` is its number as an editor counts, from 1; `text` has no line end."""

    at: int
    text: str


class TextFile(NamedTuple):
    """The text of a file.

    Attributes:
        lines: all that are not empty and no comments.
        comments: the comments, without their mark.
        ends: True if the last line has a line end; where it has none, the file may have been cut.
        guess: the encoding, if it was guessed; else "".
    """

    lines: tuple[Line, ...]
    comments: tuple[str, ...]
    ends: bool
    guess: str


def read_lines(path: Path) -> TextFile:
    """The lines of a file. Lines that begin with #, %, // or ! are comments.

    Raises:
        DataError: the file cannot be read, is larger than `LARGEST_FILE`, or is no text.
    """
    data = _content(path)
    text, guess = _decoded(data, path)
    all_lines = [Line(at, one) for at, one in enumerate(_LINE_END.split(text), start=1)]
    for line in all_lines:
        if bad := _CONTROL.search(line.text):
            what = f"holds the control character {bad[0]!r} in column {bad.start() + 1} of the text"
            raise DataError(f"{path.name}, line {line.at} must be text, but {what}")
    marks = {line.at: _COMMENT.match(line.text) for line in all_lines}
    return TextFile(
        lines=tuple(line for line in all_lines if line.text.strip() and not marks[line.at]),
        comments=tuple(line.text[mark.end() :].strip() for line in all_lines if (mark := marks[line.at])),
        ends=text.endswith(("\n", "\r")) or not text,
        guess=guess,
    )


def _content(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"`path` must be a table in a text file, but {path} cannot be read: {reason}") from None
    if len(data) > LARGEST_FILE:
        raise DataError(f"`path` must be a file of at most {LARGEST_FILE:,} bytes, but {path} holds more")
    return data


def _decoded(data: bytes, path: Path) -> tuple[str, str]:
    """The text, and the encoding if nothing in the file names it."""
    mark = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), None)
    try:
        if mark is not None:
            return data.decode(mark), ""
        if encoding := _sixteen_bits(data):
            return data.decode(encoding), f"the text is read as {encoding}: every second byte is 0"
        return data.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        if mark is not None or b"\x00" in data:
            raise DataError(f"`path` must be a table in a text file, but {path} cannot be read: {error}") from None
    return data.decode("latin-1"), "the text is read as Latin-1, since it is no UTF-8"


def _sixteen_bits(data: bytes) -> str | None:
    """UTF-16 without a mark: ASCII characters have a zero byte each."""
    start = data[: 2**12]
    half = max(len(start) // 2, 1)
    if start[1::2].count(0) > 0.8 * half and not start[0::2].count(0):
        return "utf-16-le"
    if start[0::2].count(0) > 0.8 * half and not start[1::2].count(0):
        return "utf-16-be"
    return None
