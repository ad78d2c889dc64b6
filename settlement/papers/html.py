"""Documents as one HTML page that needs nothing else and prints on A4."""

from django.http import HttpResponse
from django.template.loader import render_to_string

from settlement.papers.paper import Paper

# The page holds others' texts and needs no script, no image and no other address.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html(paper: Paper) -> str:
    """The page."""
    return render_to_string("settlement/paper.html", {"paper": paper})


def html_reply(paper: Paper) -> HttpResponse:
    """The page as a reply that runs nothing."""
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "private, no-store"}
    return HttpResponse(html(paper), headers=headers)
