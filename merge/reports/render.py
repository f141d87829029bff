"""Documents ▸ Markdown and HTML by the templates beside this file."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from .page import Document

TEMPLATES = Path(__file__).parent / "templates"
# Backslash keeps these from being read as Markdown or HTML, in a table cell as in a heading.
SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$&])")
BACKTICKS = re.compile(r"`+")


def markdown(document: Document) -> str:
    """Return the document as GitHub's Markdown, tables without plots."""
    return _render("report.md.jinja", document, autoescape=False)


def html(document: Document) -> str:
    """Return the document as one HTML page with style, script and plots inside; it loads nothing."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return _render(
        "report.html.jinja", document, autoescape=True, script=script, style=style, script_hash=_hash(script)
    )


def _render(template: str, document: Document, *, autoescape: bool, **more: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,  # noqa: S701 -- off for Markdown only, which escapes by its own filter
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": _plain, "fence": _fence}
    return environment.get_template(template).render(document=document, **more)


def _plain(text: str) -> str:
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _fence(text: str) -> str:
    """Return backticks that cannot be closed by what stands between them."""
    return "`" * max(3, 1 + max(map(len, BACKTICKS.findall(text)), default=0))


def _hash(script: str) -> str:
    """Return what names the only script that a browser may run in the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
