"""Documents as PDF on A4: the same document is always the same bytes. Latin, Greek and Cyrillic script."""

from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from django.http import HttpResponse
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from settlement.papers.paper import Facts, Paper, Table

_FONTS = Path(__file__).parent / "fonts"
_PLAIN, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
for _font in (_PLAIN, _BOLD):
    registerFont(TTFont(_font, str(_FONTS / f"{_font}.ttf")))

_INK, _SOFT, _LINE = HexColor("#16202c"), HexColor("#55616f"), HexColor("#dfe4ea")
_WIDTH = A4[0] - 40 * mm
_TEXT = ParagraphStyle("text", fontName=_PLAIN, fontSize=8.5, leading=12, textColor=_INK)
_FIGURE = ParagraphStyle("figure", _TEXT, alignment=TA_RIGHT)
_STRONG = ParagraphStyle("strong", _TEXT, fontName=_BOLD)
_SUM = ParagraphStyle("sum", _STRONG, fontSize=10, leading=14, alignment=TA_RIGHT)
_LABEL = ParagraphStyle("label", _TEXT, fontSize=7.5, textColor=_SOFT)
_FIGURE_LABEL = ParagraphStyle("figure label", _LABEL, alignment=TA_RIGHT)
_TITLE = ParagraphStyle("title", _STRONG, fontSize=17, leading=22)
_HEADING = ParagraphStyle("heading", _STRONG, fontSize=10, leading=14, spaceBefore=6 * mm, spaceAfter=1.5 * mm)
_FOOT = ParagraphStyle("foot", _TEXT, fontSize=7, leading=9.5, textColor=_SOFT)
_BARE: list[Any] = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")]
_ROWS: list[Any] = [
    *_BARE,
    ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
    ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
    ("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK),
]


def pdf(paper: Paper) -> bytes:
    """The file."""
    out = BytesIO()
    # Invariant: no clock and no chance goes into the file.
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=20 * mm - 6,  # the frame adds six points of its own
        rightMargin=20 * mm - 6,
        topMargin=18 * mm,
        bottomMargin=20 * mm,
        title=f"{paper.title} {paper.number}",
        author=paper.parties[0].name,
        lang="en-GB",
        invariant=1,
    )
    number = _page_number(paper)
    document.build(_story(paper), onFirstPage=number, onLaterPages=number)
    return out.getvalue()


def pdf_reply(paper: Paper) -> HttpResponse:
    """The file as a reply, named by the document's number."""
    headers = {
        "Content-Disposition": f'inline; filename="{paper.number}.pdf"',
        "Cache-Control": "private, no-store",
    }
    return HttpResponse(pdf(paper), content_type="application/pdf", headers=headers)


def _story(paper: Paper) -> list[Any]:
    head = Grid(
        [[_p(f"{paper.title} {paper.number}", _TITLE)]],
        colWidths=[_WIDTH],
        style=[*_BARE, ("BOTTOMPADDING", (0, 0), (-1, -1), 14)],
    )
    columns = [*([_p(each.role, _LABEL), _p(each.name, _STRONG), *_ps(each.lines)] for each in paper.parties)]
    parties = Grid([[*columns, _facts(paper.facts)]], colWidths=[_WIDTH * 0.3, _WIDTH * 0.3, _WIDTH * 0.4], style=_BARE)
    tables = [part for table in paper.tables for part in _table(table)]
    notes = [part for note in paper.notes for part in (Spacer(0, 2 * mm), _p(note, _TEXT))]
    foot = [_p(f"{label}: {value}", _FOOT) for label, value in paper.foot]
    how = _p("How to check this against the ledger: docs/ledger.md, “A printed head”.", _FOOT)
    end = KeepTogether([_totals(paper.totals), *notes, Spacer(0, 8 * mm), *foot, how])
    return [head, parties, *tables, Spacer(0, 4 * mm), end]


def _facts(facts: Facts) -> Grid:
    width = _WIDTH * 0.4
    rows = [[_p(label, _LABEL), _p(value, _TEXT)] for label, value in facts]
    return Grid(rows, colWidths=[width * 0.42, width * 0.58], style=[*_BARE, ("BOTTOMPADDING", (0, 0), (-1, -1), 0)])


def _table(table: Table) -> list[Any]:
    texts = len(table.columns) - table.numeric
    styles = [_TEXT] * texts + [_FIGURE] * table.numeric
    heads = [_LABEL] * texts + [_FIGURE_LABEL] * table.numeric
    rows = [[_p(cell, style) for cell, style in zip(row, styles, strict=True)] for row in table.rows]
    titles = [_p(name, style) for name, style in zip(table.columns, heads, strict=True)]
    figures = [_WIDTH * 0.12] * (table.numeric - 1) + [_WIDTH * 0.2]
    widths = [(_WIDTH - sum(figures)) / texts] * texts + figures
    return [_p(table.title, _HEADING), Grid([titles, *rows], colWidths=widths, style=_ROWS, repeatRows=1)]


def _totals(totals: Facts) -> Grid:
    *before, last = totals
    rows = [["", _p(label, _LABEL), _p(value, _FIGURE)] for label, value in before]
    rows.append(["", _p(last[0], _STRONG), _p(last[1], _SUM)])
    line = ("LINEABOVE", (1, -1), (-1, -1), 0.8, _INK)
    widths = [_WIDTH * 0.45, _WIDTH * 0.25, _WIDTH * 0.3]
    return Grid(rows, colWidths=widths, style=[*_BARE, ("RIGHTPADDING", (-1, 0), (-1, -1), 0), line])


def _page_number(paper: Paper) -> Any:
    def draw(canvas: Any, document: Any) -> None:
        canvas.setFont(_PLAIN, 7)
        canvas.setFillColor(_SOFT)
        canvas.drawString(20 * mm, 11 * mm, paper.number)
        canvas.drawRightString(A4[0] - 20 * mm, 11 * mm, f"page {document.page}")

    return draw


def _p(text: str, style: ParagraphStyle) -> Paragraph:
    # A paragraph reads markup, which could fetch pictures: names are other people's texts.
    return Paragraph(escape(text), style)


def _ps(lines: list[str]) -> list[Paragraph]:
    return [_p(line, _TEXT) for line in lines]
