"""Documents ▸ Markdown and HTML by the templates beside this file."""

from __future__ import annotations

import re
from pathlib import Path

from .document import Document
from .plot import error_bars

TEMPLATES = Path(__file__).parent / "templates"
# Backslash keeps these from being read as Markdown or HTML, in a table cell as in a heading.
SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$&])")


def markdown(document: Document) -> str:
    """Return the document as GitHub's Markdown, tables without plots."""
    return _render("report.md.jinja", document, autoescape=False)


def html(document: Document) -> str:
    """Return the document as one HTML page with its plots inside; it loads nothing."""
    return _render("report.html.jinja", document, autoescape=True)


def _render(template: str, document: Document, *, autoescape: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,  # noqa: S701 -- off for Markdown only, which escapes by its own filter
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = _plain
    # matplotlib escapes the names that it draws, so its markup goes in as it is.
    environment.filters["plot"] = lambda rows: Markup(error_bars(rows))  # noqa: S704
    return environment.get_template(template).render(document=document)


def _plain(text: str) -> str:
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
