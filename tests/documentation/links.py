"""The links and anchors of Markdown pages, as GitHub resolves them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from command_line import ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token

_IN_HTML = re.compile(r'(?:src|href)="([^"]+)"')


class Link(NamedTuple):
    """A link of a page: the file that it stands in, its line, and where it leads."""

    page: Path
    line: int
    target: str

    @property
    def where(self) -> str:
        """The place as one says it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def markdown_files() -> list[Path]:
    """Return every page of the checkout."""
    folders = ("docs", "benchmarks", "recipes", "tests", ".github")
    return sorted([*ROOT.glob("*.md"), *(path for name in folders for path in (ROOT / name).rglob("*.md"))])


def links(page: Path) -> Iterator[Link]:
    """Yield the links and pictures of a page, those in HTML too; what stands in code is none."""
    for block in _tokens(page):
        line = (block.map or [0])[0] + 1
        for token in (block, *(block.children or ())):
            if token.type in ("html_block", "html_inline"):
                yield from (Link(page, line, target) for target in _IN_HTML.findall(token.content))
            target = token.attrGet("href") or token.attrGet("src")
            if target:
                yield Link(page, line, str(target))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings."""
    tokens, found = _tokens(page), []
    for heading, text in pairwise(tokens):
        if heading.type == "heading_open":
            words = "".join(child.content for child in text.children or () if child.type in ("text", "code_inline"))
            name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.append(name + (f"-{found.count(name)}" if name in found else ""))
    return frozenset(found)


@cache
def _tokens(page: Path) -> tuple[Token, ...]:
    return tuple(MarkdownIt().enable("table").parse(page.read_text("utf-8")))
