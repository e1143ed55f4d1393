"""Tables and one self-contained page from rows. It reads only rows and imports no physics."""

from ohmweave.report.all_claims import all_claims_markdown
from ohmweave.report.bill import DETAILS, Bills, behind, bill_records, bill_table, bills_of, energy_of, show_spread
from ohmweave.report.claims_table import claims_markdown, claims_table, claims_text
from ohmweave.report.drawn_figures import NotMadeWarning
from ohmweave.report.page import write_report
from ohmweave.report.quantities import show, show_duration, show_interval
from ohmweave.report.references import OHMWEAVE, REFERENCES, Reference, bibtex, cited, other_sources

__all__ = [
    "DETAILS",
    "OHMWEAVE",
    "REFERENCES",
    "Bills",
    "NotMadeWarning",
    "Reference",
    "all_claims_markdown",
    "behind",
    "bibtex",
    "bill_records",
    "bill_table",
    "bills_of",
    "cited",
    "claims_markdown",
    "claims_table",
    "claims_text",
    "energy_of",
    "other_sources",
    "show",
    "show_duration",
    "show_interval",
    "show_spread",
    "write_report",
]
