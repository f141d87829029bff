"""What a report consists of, before it is Markdown or HTML: sections of text, tables, plots and code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What is shown.
        value: What the column sorts by, unrounded; None: by the text.
        strong: Whether it is the best of its column.
        hint: A longer text, shown when pointed at.
    """

    text: str
    value: float | None = None
    strong: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A caption, a header and rows, all rows as long as the header; folded tables open by a click."""

    kind: ClassVar[str] = "table"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False

    def is_numeric(self, column: int) -> bool:
        """Tell whether a column holds numbers, which go to the right."""
        cells = [row[column] for row in self.rows if row[column].text != "-"]
        return bool(cells) and all(cell.value is not None for cell in cells)


@dataclass(frozen=True)
class Plot:
    """One or more `<svg>` elements with a caption, small ones side by side; Markdown leaves plots out."""

    kind: ClassVar[str] = "plot"
    caption: str
    drawings: Sequence[str]
    legend: Sequence[tuple[str, str]] = ()  # style class and name of each series
    small: bool = False


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is, such as a recipe."""

    kind: ClassVar[str] = "code"
    caption: str
    text: str
    language: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and blocks in reading order; of a folded one, the blocks open by a click."""

    title: str
    texts: Sequence[str] = ()
    blocks: Sequence[Table | Plot | Code] = ()
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: The heading.
        facts: A few words each on how large the evaluation was.
        warnings: What a reader must know before any number; shown in red.
        summary: Sentences made from the numbers.
        sections: In reading order.
    """

    title: str
    facts: Sequence[str]
    warnings: Sequence[str]
    summary: Sequence[str]
    sections: Sequence[Section]


def words(texts: Iterable[str]) -> list[Cell]:
    """Return cells of plain text."""
    return [Cell(text) for text in texts]
