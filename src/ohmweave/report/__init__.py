"""Tables and one self-contained page from rows. It reads only rows and imports no physics."""

from ohmweave.report.all_claims import all_claims_markdown
from ohmweave.report.bill import DETAILS, Bills, behind, bill_records, bill_table, bills_of, energy_of, show_spread
from ohmweave.report.claims_table import claims_markdown, claims_table, claims_text
from ohmweave.report.page import write_report
from ohmweave.report.quantities import show, show_duration, show_interval

__all__ = [
    "DETAILS",
    "Bills",
    "all_claims_markdown",
    "behind",
    "bill_records",
    "bill_table",
    "bills_of",
    "claims_markdown",
    "claims_table",
    "claims_text",
    "energy_of",
    "show",
    "show_duration",
    "show_interval",
    "show_spread",
    "write_report",
]
