"""Tables of a written report as plain text, read from HTML and from Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """What a page holds: tables by caption, sentences of the summary, texts of drawings, warnings, open tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.summary: list[str] = []
        self.alarms: list[str] = []
        self.labels: list[str] = []
        self.references: set[str] = set()
        self.tags: list[str] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references |= {value for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")}
        if tag in VOID:
            return
        self.open.append((tag, dict(attrs)))
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        elif tag == "p":
            kind = self._inside("summary"), self._inside("alarm")
            (self.summary if kind[0] else self.alarms if kind[1] else []).append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag
        if tag == "table":
            assert self._caption not in self.tables, f"two tables are called {self._caption}"
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        data = data.replace("\N{NO-BREAK SPACE}", " ")
        if "td" in tags or "th" in tags:
            self._rows[-1][-1] += data
        elif "caption" in tags:
            self._caption += data
        elif "text" in tags:
            self.labels.append(data)
        elif "p" in tags and self._inside("summary"):
            self.summary[-1] += data
        elif "p" in tags and self._inside("alarm"):
            self.alarms[-1] += data

    def _inside(self, style):
        return any(style in (attributes.get("class") or "").split() for _, attributes in self.open)


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Return the tables of Markdown, each with its header first, without escapes and emphasis."""
    tables: list[list[list[str]]] = []
    lines = text.splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if not line.startswith("|"):
            continue
        if not before.startswith("|"):
            tables.append([])
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not all(set(cell) <= set("-:") and cell.strip(":") == "---" for cell in cells):
            tables[-1].append([re.sub(r"\\(.)", r"\1", cell.replace("**", "")) for cell in cells])
    return tables
