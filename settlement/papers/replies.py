"""Documents as replies to a browser or client."""

from django.http import HttpResponse

from settlement.papers.html import html_reply
from settlement.papers.paper import Paper


def paper_reply(paper: Paper, form: str) -> HttpResponse:
    """A document as a page, or as `pdf`."""
    if form != "pdf":
        return html_reply(paper)
    # Here and not above: fonts and layout take longer to load than all else that a command or a server starts with.
    from settlement.papers.pdf import pdf_reply  # noqa: PLC0415

    return pdf_reply(paper)
