"""Libraries of versions that can be made to run code are not used, and methods come from installed packages alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import random_state
from command_line import Result, assert_refused

from merge.errors import MergeError
from merge.evaluation.data import opening
from merge.evaluation.language import quiet_harness
from merge.registry import ENTRY_POINTS

Cli = Callable[..., Result]


@pytest.mark.parametrize("version", ["2.5.1", "2.5.1+cu121", "1.13.1", "2.6.0a0"])
def test_a_torch_that_loads_unsafely(
    cli: Cli, here: Path, pair: tuple[Path, Path], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(random_state(0), here / "a.pt")
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    assert_refused(cli("inspect", "a.pt"), 1, "a.pt", f"torch {version}", "CVE-2025-32434", "torch>=2.6")
    assert cli("soup", *pair, "-o", "out.st", "--quiet").code == 0  # safetensors do not need it


@pytest.mark.parametrize("version", ["2.6.0", "2.6.0+cpu", "2.10.0", "3.0"])
def test_a_torch_that_loads_safely(cli: Cli, here: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(random_state(0), here / "a.pt")
    monkeypatch.setattr(torch, "__version__", version)
    assert cli("inspect", "a.pt").code == 0


@pytest.mark.parametrize("check", [opening.check_installed, quiet_harness.check_installed])
def test_a_datasets_that_runs_scripts(check: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    check("b.yaml:2:1")
    monkeypatch.setattr(opening, "version", lambda name: "3.6.0")
    with pytest.raises(MergeError, match=r"b.yaml:2:1: datasets 3\.6\.0 runs code"):
        check("b.yaml:2:1")


def test_methods_come_from_installed_packages_alone(cli: Cli, here: Path, pair: tuple[Path, Path]) -> None:
    """Neither a module in the current folder, nor metadata in a model's, adds a method."""
    code = f"import pathlib\npathlib.Path({str(here / 'ran')!r}).touch()\n"
    (here / "evil.py").write_text(code)
    (here / "merge_evil.py").write_text(code)
    folder = here / "evil-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nevil = evil:METHOD\n")
    assert_refused(cli("evil", *pair, "-o", "out.st"), 2, "no command or method 'evil'")
    (here / "r.yaml").write_text("merge: evil\nmodels: [a.st, b.st]\n")
    assert cli("run", "r.yaml", "-o", "out.st").code == 2
    assert not (here / "ran").exists()
