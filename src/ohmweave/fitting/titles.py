"""Titles of columns in the spellings of labs: what a column holds, its unit, and at which voltage it was read."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from ohmweave.base import OutOfRangeError
from ohmweave.base.units import parse_quantity

SI = {
    "g": "S", "r": "Ohm", "i": "A", "v": "V", "width": "s", "v_read": "V", "time": "s", "nominal_time": "s",
    "temperature": "K", "g_start": "S", "g_set": "S", "g_reset": "S", "r_set": "Ohm", "r_reset": "Ohm", "i_set": "A",
    "i_reset": "A", "up": "", "down": "",
}  # fmt: skip
"""The SI unit of each role that has one."""
ROLES = ("cell", "pulse", "cycle", "polarity", "level", *SI)
"""What a column may hold."""
READINGS = {"S": "g", "Ohm": "r", "A": "i"}
"""The role of a reading by its SI unit."""

_WORDS = {
    "cell": "cell device dev deviceid cellid dut address addr id name sample devicename cellname deviceno device# "
    "cell# zelle zellen zellnummer zellennummer bauteil cellule dispositif",
    "pulse": "pulse pulsenumber pulseno pulse# pulseindex pulseid npulse npulses n no # step index idx k number "
    "pulsecount pulsenum count reading readingno puls pulsnr pulsnummer pulszahl impuls impulsnummer impulsion "
    "numérodimpulsion",
    "cycle": "cycle cyc cycleno cycle# cyclenumber cycleindex ncycle ncycles cycles loop zyklus zyklen",
    "polarity": "polarity pol direction dir operation op pulsetype type mode sign p/d pd +/ set/reset setreset ltp/ltd "
    "ltpltd up/down updown +/- action pulsepolarity polarität polaritaet richtung polarité polarite sens",
    "level": "level state target levelindex range",
    "g": "g conductance cond gread readconductance conductanceread gds gmeas leitwert",
    "r": "r resistance res rread readresistance resistanceread rmeas widerstand résistance",
    "i": "i current iread readcurrent curr imeas currentread strom lesestrom courant",
    "v": "v voltage amplitude amp vpulse pulseamplitude pulsevoltage vprog vp pulseheight vamp appliedvoltage bias "
    "spannung pulsspannung tension",
    "width": "width pulsewidth pw duration pulseduration tpulse tp tw length pulselength pulsbreite pulsdauer durée",
    "v_read": "vread readvoltage vr readbias lesespannung tensiondelecture",
    "time": "t time timestamp elapsed elapsedtime relativetime timeafterwrite timesincewrite zeit zeitstempel temps",
    "nominal_time": "nominaltime tnominal timepoint",
    "temperature": "temperature temp tempc temperatur température",
    "g_start": "gstart ginitial g0 gi gafterwrite",
    "g_set": "gset gon glrs ghigh lrsconductance gafterset",
    "g_reset": "greset goff ghrs glow hrsconductance gafterreset",
    "r_set": "rset ron rlrs lrs rlow rafterset resistanceafterset lrsresistance",
    "r_reset": "rreset roff rhrs hrs rhigh rafterreset resistanceafterreset hrsresistance",
    "i_set": "iset ion ilrs ihigh iafterset",
    "i_reset": "ireset ioff ihrs ilow iafterreset",
    "up": "up ltp set potentiation pot potentiate",
    "down": "down ltd reset depression dep depress",
}
ROLE_OF = {word: role for role, words in _WORDS.items() for word in words.split()}

_PARTS = re.compile(r"(?P<name>[^(\[{<]*?)\s*[(\[{<](?P<unit>[^)\]}>]*)[)\]}>](?P<rest>.*)")
_AT = re.compile(
    r"@[\s_]*(?P<value>[+-]?[\d.]+(?:[eE][+-]?\d+)?)[\s_]*(?P<unit>[fpnumkMGµμ]?(?:V|Hz|s)(?:olts?)?)(?![^\W_])",
    re.IGNORECASE,
)
_BASES = {
    "S": ("s", "siemens", "mho", "mhos"),
    "Ohm": ("ohm", "ohms", "ω"),
    "A": ("a", "amp", "amps", "ampere", "amperes"),
    "V": ("v", "volt", "volts"),
    "s": ("s", "sec", "second", "seconds"),
}
_PREFIXES = {"": 0, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12}
_LONG_PREFIXES = {
    "femto": "f", "pico": "p", "nano": "n", "micro": "u", "milli": "m", "kilo": "k", "mega": "M", "giga": "G"
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """What the title of a column says.

    Attributes:
        text: the title as it is in the file.
        name: without unit and read voltage.
        role: one of `ROLES`, or "" if it is none.
        unit: as it is in the file, or "".
        v_read: V, from `@ 0.2 V`; None if it is not there.
        interval: s, the time between readings, from `@ 400 Hz` or `@ 2.5 ms`; None if it is not there.
    """

    text: str
    name: str
    role: str = ""
    unit: str = ""
    v_read: float | None = None
    interval: float | None = None

    def factor(self, where: str, role: str | None = None) -> Decimal:
        """The factor of the column's numbers to SI units. Raises `OutOfRangeError` if `unit` is none of the role."""
        role = role or self.role
        return unit_factor(self.unit, SI[role], f"{role} of {where}")


def parse_title(text: str) -> Title:
    """What the title of a column says; the role is found by its words, whatever their case and separators."""
    rest, v_read, interval = _without_at(text.strip())
    name, unit = rest, ""
    if match := _PARTS.fullmatch(rest):
        name, unit = f"{match['name']} {match['rest']}".strip(), match["unit"].strip()
        if unit and not _known(unit) and _role(name) == "" and _role(f"{name} {unit}"):
            name, unit = f"{name} {unit}", ""  # as in "pulse (no.)"
    role = _role(name)
    if role == "time" and unit.strip("°º").upper() in ("K", "C"):
        role = "temperature"  # T (C)
    title = Title(text=text.strip(), name=name.strip(), role=role, unit=unit, v_read=v_read, interval=interval)
    return title if title.role or unit else _with_unit_inside(title)


_LOGARITHM = re.compile(r"(?i)(?<![a-z])(log(_?10|_?e|2)?|ln|lg)(?![a-z])")
_CHANGE = re.compile(r"(?i)\s*([Δ∆δ]\s*|delta[\s_]*|d)(g|r|i|cond\w*|res\w*|current)(?![a-z])")


def not_values(text: str) -> str:
    """What a title says that its column holds instead of values: "logarithms" or "changes"; else ""."""
    if _LOGARITHM.search(text):
        return "logarithms"
    return "changes" if _CHANGE.match(text) else ""


def _without_at(text: str) -> tuple[str, float | None, float | None]:
    """The text without `@ 0.2 V` or `@ 400 Hz`, the read voltage, and the interval."""
    match = _AT.search(text.replace(" at ", " @ "))
    if match is None:
        return text, None, None
    text = text.replace(" at ", " @ ")
    rest = (text[: match.start()] + text[match.end() :]).strip().strip("_")
    unit = match["unit"]
    value = f"{match['value']} {unit}"
    if unit.lower().endswith("hz"):
        return rest, None, 1 / parse_quantity(value, "Hz", text)
    if unit.endswith("s") and not unit.lower().endswith("volts"):
        return rest, None, parse_quantity(value, "s", text)
    return rest, parse_quantity(re.sub(r"(?i)v(olts?)?$", "V", value), "V", text), None


def _squeezed(name: str) -> str:
    return re.sub(r"[\s_.\-:]+", "", name).lower()


def _role(name: str) -> str:
    bare = _squeezed(name)
    return ROLE_OF.get(bare) or ROLES_BY_NAME.get(bare, "")


ROLES_BY_NAME = {_squeezed(role): role for role in ROLES}


def _with_unit_inside(title: Title) -> Title:
    """`g/uS`, `conductance_s`, `Resistance ohm`: the unit is the last word, after a slash, a space or `_`."""
    match = re.fullmatch(r"(?P<name>.+?)(?P<mark>\s*/\s*|[\s_,\-]+|\s+in\s+)(?P<unit>[^\s_/,\-]+)", title.name)
    if match is None:
        return title
    name = re.sub(r"\s+in$", "", match["name"].strip())
    role, unit = _role(name), match["unit"]
    if role and (_known(unit, SI.get(role)) or ("/" in match["mark"] and role in SI)):
        return replace(title, name=name, role=role, unit=unit)
    if not role and _known(unit) and ("/" in match["mark"] or len(unit) > 1):
        return replace(title, name=name, unit=unit)
    return title


def _known(unit: str, si: str | None = None) -> bool:
    """True if `unit` is one of `si`, or of any quantity that a column may hold."""
    return any(_factor(unit, one) is not None for one in ([si] if si else [*_BASES, "K"]))


def unit_of(text: str) -> str | None:
    """The SI unit, "S", "Ohm" or "A", to which the unit `text` of a reading converts; None if it does to none."""
    return next((si for si in ("Ohm", "A", "S") if _factor(text, si) is not None), None)


def unit_factor(unit: str, si: str, name: str) -> Decimal:
    """The factor from `unit` to the SI unit `si`; `name` is for the error message.

    Raises:
        OutOfRangeError: `unit` does not convert to `si`.
    """
    if (factor := _factor(unit, si)) is not None:
        return factor
    if not re.fullmatch(r"\D+\d?", unit.strip()):
        raise OutOfRangeError(f"`{name}` must be a quantity in {si}, or a unit that converts to it, but is '1 {unit}'")
    return Decimal(repr(parse_quantity(f"1 {unit}", si, name)))


def _factor(unit: str, si: str) -> Decimal | None:
    """The power of ten of a prefix before one of the spellings of `si`, whatever their case; None if it is another."""
    if si in ("", "K"):
        return Decimal(1) if unit.strip("°º .").lower() in ("", "1", "k", "c", "a.u.", "a.u", "norm") else None
    text = unit.strip().replace("µ", "u").replace("μ", "u").replace("Ω", "Ω")
    for long, short in _LONG_PREFIXES.items():
        if text.lower().startswith(long):
            text = short + text[len(long) :]
    for base in sorted(_BASES[si], key=len, reverse=True):
        if not text.lower().endswith(base):
            continue
        prefix = text[: len(text) - len(base)].strip()
        prefix = prefix if prefix in _PREFIXES else {"K": "k", "U": "u", "N": "n", "P": "p"}.get(prefix, prefix)
        if prefix == "M" and si in ("S", "A", "s"):
            return None  # megasiemens are no conductance of a cell; milli is "m"
        if prefix in _PREFIXES:
            return Decimal(1).scaleb(_PREFIXES[prefix])
    return None
