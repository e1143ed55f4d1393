"""Rows to tables and to one self-contained page. Knows no physics, and reads nothing but rows."""

from memweave.report.bill import bill_of, bill_table
from memweave.report.claims import claims_markdown, claims_table, claims_text
from memweave.report.page import write_report
from memweave.report.quantities import show, show_interval

__all__ = [
    "bill_of",
    "bill_table",
    "claims_markdown",
    "claims_table",
    "claims_text",
    "show",
    "show_interval",
    "write_report",
]
