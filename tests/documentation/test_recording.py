"""The recording of a terminal that the README shows: what it is made of, and that its commands still run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import ROOT
from documentation.links import links
from documentation.play import Cli
from documentation.worlds import digit_models, digit_networks

from docs.recording import COLUMNS, COMMANDS, OUT, record
from docs.terminal_svg import Frame, drawn

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_shows_the_commands_and_fetches_nothing() -> None:
    svg = OUT.read_text("utf-8")
    shown = texts(svg)
    for command in COMMANDS:
        assert f"$ {command}" in shown, "run: python -m docs.recording"
    assert any(line.startswith("digits ") for line in shown)
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()}
    assert tags == {"svg", "style", "rect", "defs", "text", "g", "use"}
    assert re.findall(r"(?:https?:)?//[^\s\"]+", svg.replace("http://www.w3.org/2000/svg", "")) == []
    for query in ("prefers-color-scheme: dark", "prefers-reduced-motion: no-preference"):
        assert query in svg
    assert len(svg) < 300_000
    assert any(link.target == "docs/images/terminal.svg" for link in links(ROOT / "README.md"))


def test_its_commands_run(here: Path, cli: Cli) -> None:
    digit_models(here, ("base", "tuned-1", "tuned-2", "tuned-3"))
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "merge"
        result = cli(*arguments)
        assert result.code == 0, (command, result.err)


def test_what_a_terminal_shows_is_kept(here: Path) -> None:
    pytest.importorskip("pty", reason="no pseudo-terminals here")
    pytest.importorskip("pyte", reason="needs the extra `docs`")
    digit_networks(here, ("a",))
    frames = record(here, ["merge inspect a.st --no-values"])
    assert [frame.start for frame in frames] == sorted(frame.start for frame in frames)
    typed = [frame.lines[0] for frame in frames]
    assert typed[1:4] == ["$", "$ m", "$ me"]
    assert typed[-1] == "$ merge inspect a.st --no-values"
    assert any(line.startswith("a.st: ") for line in frames[-1].lines)
    with pytest.raises(RuntimeError, match=r"merge inspect nothing\.st: exit code"):
        record(here, ["merge inspect nothing.st"])


def test_each_frame_is_seen_in_its_time_and_the_last_without_motion() -> None:
    frames = [Frame(0.0, ("$ a <b>", "")), Frame(1.0, ("$ a <b>", "c")), Frame(4.0, ("$ a <b>", "c"))]
    svg = drawn(frames, COLUMNS)
    assert texts(svg) == ["$ a <b>", "c"]
    assert "@keyframes k0 { 0.000% { visibility: visible } 25.000% { visibility: hidden } }" in svg
    assert "@keyframes k1 { 0.000% { visibility: hidden } 25.000% { visibility: visible } }" in svg
    still, moving = svg.split("@media (prefers-reduced-motion: no-preference)")
    assert "g.frame:last-of-type { visibility: visible }" in still
    assert "animation: 4.0s step-end infinite" in moving
