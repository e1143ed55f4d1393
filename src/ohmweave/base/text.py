"""Text in outputs: nouns with their numbers, control characters made visible, and names that are safe in paths."""

import hashlib
import re
import unicodedata

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LENGTH = 40


def visible(text: str, keep: str = "") -> str:
    r"""`text` with control, invisible and unpaired surrogate characters written as escapes, as in `\x1b`.

    A terminal executes the escape sequences that it is sent, and no file in UTF-8 can hold an unpaired surrogate.

    Args:
        text: any text.
        keep: control characters that are left as they are, such as a line end.
    """
    if text.isprintable():
        return text
    return "".join(one if one in keep or _is_shown(one) else ascii(one)[1:-1] for one in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def counted(n: int, word: str) -> str:
    """A number and its noun, as in "1 cell" and "1,024 cells"."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def safe_name(text: str) -> str:
    """`text` as part of a file name: letters, digits, `.`, `_` and `-`, the first a letter or digit, 64 at most.

    A text that is such a name is returned as it is. In any other, the other characters become `-`, and 8 hex digits of
    its SHA-256 are added, so that different texts keep different names.
    """
    if _SAFE.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    rest = re.sub(r"[^A-Za-z0-9_]+", "-", text)[:_LENGTH].strip("-")
    return f"{rest or 'x'}-{digest}"
