"""The examples of the pages: every block of code, as a Markdown reader finds them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from command_line import ROOT
from markdown_it import MarkdownIt

PROGRAMS = ("merge", "python", "pip", "cd", "aws", "mkdocs", "pytest", "torchrun", "lm_eval")
_COMMENT = re.compile(r"(?:^|\s+)#(?:\s.*)?$")
_PROMPT = "$ "


class Block(NamedTuple):
    """A block of code of a page.

    Attributes:
        page: Its path in the checkout, `docs/` left out.
        line: Where it begins, from 1.
        language: What follows the fence; empty without.
        text: What stands in it.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """The place as one says it."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands in it, without comments and prompts; none if it is no block of commands."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        if self.language == "console" or any(line.startswith(_PROMPT) for line in lines):
            lines = [line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT)]
        elif self.language not in ("sh", "") or not self.text.startswith(PROGRAMS):
            return []
        return [command for line in lines if (command := _COMMENT.sub("", line).strip())]


def pages() -> list[str]:
    """Return all pages but those of single methods, which are generated."""
    names = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"]
    found = [name for name in names if (ROOT / name).exists()]
    return found + sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def path_of(page: str) -> Path:
    """Return where a page lies."""
    return ROOT / page if page.endswith(("README.md", "CONTRIBUTING.md")) else ROOT / "docs" / page


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """Return the blocks of code of a page, in order."""
    tokens = MarkdownIt().parse(path_of(page).read_text("utf-8"))
    code = [token for token in tokens if token.type in ("fence", "code_block")]
    return tuple(Block(page, token.map[0] + 1, token.info.strip(), token.content) for token in code if token.map)
