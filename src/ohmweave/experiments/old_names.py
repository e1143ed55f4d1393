"""Old names in the bills of earlier versions, and their present names."""

from collections.abc import Mapping

from ohmweave.experiments.values import JSON

_ANYWHERE = {
    "joules": "energy",
    "gpu_joules": "gpu_energy",
    "image_joules": "image_energy",
    "transfer_joules": "transfer_energy",
}
_IN_BILLS = {"joules": "energy", "seconds": "time", "m2": "area"}
"""Renamed only in records under "bill", because other results may have an entry "seconds"."""


def renamed(result: Mapping[str, JSON]) -> dict[str, JSON]:
    """A result with the present names: J under "energy", s under "time", m2 under "area"; new results do not change."""
    return {_ANYWHERE.get(key, key): _renamed(value, in_bill=key == "bill") for key, value in result.items()}


def _renamed(value: JSON, *, in_bill: bool) -> JSON:
    if isinstance(value, list) and in_bill:
        return [_renamed_record(record) for record in value]
    return renamed(value) if isinstance(value, dict) else value


def _renamed_record(record: JSON) -> JSON:
    if not isinstance(record, dict):
        return record
    return {_IN_BILLS.get(key, key): part for key, part in record.items()}
