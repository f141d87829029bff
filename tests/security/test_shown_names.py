"""Names that stand in a stranger's file and are shown: on a terminal, in a model card, in a report."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import random_state, save
from command_line import Result

from merge.card import note_lines

Cli = Callable[..., Result]
CLEAR = "\x1b[2J\x1b]0;pwned\x07\x9b1m"
MARKUP = "<script>alert(1)</script>[x](javascript:alert(1))\n## Recipe\n```yaml\nmerge: evil\n```"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def hostile(here: Path) -> None:
    """``a.st`` and ``b.st``, where one has a tensor of a hostile name that the other lacks."""
    state = random_state(0)
    save(here / "a.st", state | {f"extra{CLEAR}{MARKUP}": torch.ones(3)})
    save(here / "b.st", state)


def test_no_command_of_a_name_reaches_the_terminal(cli: Cli, here: Path) -> None:
    hostile(here)
    flags = ("--missing", "skip")
    runs = [
        cli("inspect", "a.st"),
        cli("diff", "a.st", "b.st"),
        cli("soup", "a.st", "b.st", "-o", "dry.st", "--dry-run", *flags),
        cli("soup", "a.st", "b.st", "-o", "out.st", *flags),
        cli("soup", "a.st", "b.st", "-o", "none.st"),  # refused, naming it
    ]
    assert [run.code for run in runs] == [0, 0, 0, 0, 1]
    assert any("pwned" in run.out + run.err for run in runs)
    for run in runs:
        assert not CONTROL.search(run.out + run.err), run


def test_a_card_keeps_names_in_their_lines(cli: Cli, here: Path) -> None:
    hostile(here)
    assert cli("soup", "a.st", "b.st", "-o", "out.st", "--missing", "skip", "--quiet").code == 0
    text = (here / "out.st.md").read_text("utf-8")
    assert not CONTROL.search(text)
    assert text.count("## Recipe") == text.count("\n## Recipe\n") + text.count("\\n## Recipe")
    assert text.count("\n## Recipe\n") == 1
    assert not re.search(r"(?<!\\)<script", text)
    assert cli("verify", "out.st").code == 0


def test_notes_of_cards() -> None:
    line = note_lines([f"holds '{MARKUP}'"])[2]
    assert "\n" not in line
    assert r"\<script>" in line
    assert r"]\(javascript:" in line
    assert note_lines(["as it is: `merge verify out`, 0.5 * a_b [1, 2]"])[2] == (
        "- as it is: `merge verify out`, 0.5 * a_b [1, 2]"
    )
    assert note_lines([]) == []


def test_a_report_shows_names_as_text(cli: Cli, here: Path) -> None:
    hostile(here)
    assert cli("soup", "a.st", "b.st", "-o", "out.st", "--missing", "skip", "--report", "report", "--quiet").code == 0
    page = (here / "report" / "report.html").read_text("utf-8")
    assert page.count("<script") == 1
    assert "javascript:" not in " ".join(re.findall(r"(?:href|src|xlink:href)\s*=\s*[\"'][^\"']*", page))
    assert "script-src 'sha256-" in page.replace("&#39;", "'")


def test_the_environment_is_recorded_nowhere(
    cli: Cli, here: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "MY_PASSWORD"):
        monkeypatch.setenv(name, f"s3cr3t-{name}")
    found = cli("soup", *pair, "-o", "out.st", "--report", "report", "--json")
    assert found.code == 0, found.err
    texts = [found.out + found.err, *(path.read_text("utf-8", "replace") for path in here.rglob("*") if path.is_file())]
    assert len(texts) > 6
    assert not [text for text in texts if "s3cr3t" in text]
