"""Draws what a terminal showed as an SVG that plays by itself: CSS alone, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT, MARGIN = 8.0, 18, 14  # of a letter, of a line, around them, in pixels
STYLE = """
:root {{ --paper: #ffffff; --ink: #1f2328; --frame: #d0d7de; --prompt: #0969da }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #0d1117; --ink: #e6edf3; --frame: #30363d; --prompt: #58a6ff }}
}}
rect {{ fill: var(--paper); stroke: var(--frame) }}
text {{ fill: var(--ink); font: 13px ui-monospace, Menlo, Consolas, monospace; white-space: pre }}
text.typed {{ fill: var(--prompt) }}
g.frame {{ visibility: hidden }}
g.frame:last-of-type {{ visibility: visible }}
@media (prefers-reduced-motion: no-preference) {{
  g.frame {{ animation: {seconds}s step-end infinite }}
{names}
{frames}
}}
"""


class Frame(NamedTuple):
    """What a terminal showed.

    Attributes:
        start: Seconds from the beginning.
        lines: The text of each row, without the blanks at its end.
    """

    start: float
    lines: tuple[str, ...]


def drawn(frames: Sequence[Frame], columns: int) -> str:
    """Return the animation.

    Args:
        frames: In order; the last one says when the animation begins anew.
        columns: Letters of a line.
    """
    shown, total = frames[:-1], frames[-1].start
    rows = max((number for frame in frames for number, line in enumerate(frame.lines, 1) if line), default=1)
    lines = {
        line: number for number, line in enumerate(dict.fromkeys(line for one in shown for line in one.lines if line))
    }
    ends = [frame.start for frame in frames[1:]]
    style = STYLE.format(seconds=round(total, 2), names=_names(len(shown)), frames=_keyframes(shown, ends, total))
    width, height = round(columns * WIDTH) + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="A terminal in which merge runs">',
        f"<style>{style}</style>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        "<defs>",
        *(_text(line, number) for line, number in lines.items()),
        "</defs>",
        *(_frame(frame, number, lines) for number, frame in enumerate(shown)),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _names(count: int) -> str:
    return "\n".join(f"  #f{number} {{ animation-name: k{number} }}" for number in range(count))


def _keyframes(shown: Sequence[Frame], ends: Sequence[float], total: float) -> str:
    """Return when each frame is to be seen: from its start until the next one's."""
    lines = []
    for number, (frame, end) in enumerate(zip(shown, ends, strict=True)):
        moments = {frame.start: "visible"} | ({end: "hidden"} if end < total else {})
        if frame.start:
            moments = {0.0: "hidden"} | moments
        steps = " ".join(f"{100 * at / total:.3f}% {{ visibility: {seen} }}" for at, seen in moments.items())
        lines.append(f"  @keyframes k{number} {{ {steps} }}")
    return "\n".join(lines)


def _text(line: str, number: int) -> str:
    kind = ' class="typed"' if line.startswith("$ ") else ""
    return f'<text id="l{number}" x="{MARGIN}" textLength="{len(line) * WIDTH:g}"{kind}>{escape(line)}</text>'


def _frame(frame: Frame, number: int, lines: dict[str, int]) -> str:
    """Return one frame; equal lines are written once and used by all frames."""
    used = [
        f'<use href="#l{lines[line]}" y="{MARGIN + HEIGHT * row - 5}"/>'
        for row, line in enumerate(frame.lines, 1)
        if line
    ]
    return f'<g class="frame" id="f{number}">{"".join(used)}</g>'
