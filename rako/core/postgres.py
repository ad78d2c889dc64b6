"""What PostgreSQL says when it says no."""

from django.db import IntegrityError


def violated(error: IntegrityError) -> str:
    """The name of the constraint or unique index that refused a row; empty if PostgreSQL named none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
