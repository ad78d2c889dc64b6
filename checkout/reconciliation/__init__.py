"""Reconciliation: holds what PSPs say against what is recorded, and has what was missed carried out."""
