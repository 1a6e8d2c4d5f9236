"""The dossier: data card, technical documentation, sheets for authorities, and a lineage page.

Purpose: documents in the order that regulators ask for, filled from evidence only. What the evidence cannot know is a
named empty field, "not provided", which the recipe may fill (`report.provided`); such an entry is marked as said by a
person.
Trade-off: a sheet is a list of sections in sheets.yaml, each with names of evidence blocks (blocks.py), so that a
sheet for another authority is data, not code.
Not covered: legal advice. A full sheet is not conformity; the pages say so.
"""

from metier.report.dossier.pages import check_provided, dossier, field_names

__all__ = ["check_provided", "dossier", "field_names"]
