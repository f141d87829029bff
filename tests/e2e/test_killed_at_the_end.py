"""A run that is killed, or fails, while its output and the card beside it are put in place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_files import random_state, save
from command_line import assert_refused, contents

pytestmark = pytest.mark.skipif(os.name != "posix", reason="hard links and kills")
KILLED = 9
# The last step of a run, after the card's: a rename where something is replaced, a link elsewhere.
PROGRAM = f"""
import os, sys
from pathlib import Path
rename, link = Path.replace, os.link
def stop(self, target):
    os._exit({KILLED}) if Path(target).name == "out.st" else rename(self, target)
def stop_link(built, target, **how):
    os._exit({KILLED}) if Path(target).name == "out.st" else link(built, target, **how)
Path.replace, os.link = stop, stop_link
from merge.cli import main
main(sys.argv[1:])
"""


def kill_before_the_output(here: Path, *arguments: str) -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=here, check=False).returncode == KILLED


def test_a_resumed_run_finishes_it(cli, here, pair):
    merge = ["soup", "a.st", "b.st", "-o", "out.st"]
    assert cli(*merge[:-1], "whole.st").code == 0
    kill_before_the_output(here, *merge)
    assert not (here / "out.st").exists()
    assert_refused(cli("verify", "out.st"), 1, "out.st", "stopped before the end", "--resume")
    result = cli(*merge, "--resume", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["pieces_reused"] > 0
    assert (here / "out.st").read_bytes() == (here / "whole.st").read_bytes()
    assert cli("verify", "out.st").code == 0
    assert not list(here.glob(".*"))


def test_a_new_run_starts_over(cli, here, pair):
    merge = ["soup", "a.st", "b.st", "-o", "out.st"]
    kill_before_the_output(here, *merge)
    assert cli(*merge).code == 0
    assert cli("verify", "out.st").code == 0
    assert not list(here.glob(".*"))


def test_a_replacement_is_resumed(cli, here, pair):
    merge = ["soup", "a.st", "b.st", "-o", "out.st"]
    assert cli(*merge).code == 0
    former = (here / "out.st").read_bytes()
    other = [*merge, "--weights", "1,0", "--force"]
    kill_before_the_output(here, *other)
    assert (here / "out.st").read_bytes() == former
    result = cli(*other, "--resume", "--json")
    assert json.loads(result.out)["pieces_reused"] > 0
    assert (here / "out.st").read_bytes() != former
    assert cli("verify", "out.st").code == 0


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_when_the_output_cannot_be_placed_the_card_is_as_before(cli, here, pair, monkeypatch, force):
    if force:
        assert cli("soup", *pair, "-o", "out.st").code == 0
    before = contents(here)
    rename = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if Path(target).name == "out.st":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    def refuse(built: Path, target: Path, **how: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr(os, "link", refuse)
    assert_refused(cli("soup", *pair, "--weights", "1,0", "-o", "out.st", *force), 1, "cannot put the output in place")
    assert contents(here) == before


def test_something_that_appears_during_the_merge_gets_no_card(cli, here, pair, monkeypatch):
    def appear(built: Path, target: Path) -> None:
        save(Path(target), random_state(5))
        raise FileExistsError

    monkeypatch.setattr(os, "link", appear)
    assert_refused(cli("soup", *pair, "-o", "out.st"), 1, "something appeared there")
    assert not (here / "out.st.md").exists()
