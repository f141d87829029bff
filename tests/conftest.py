"""What every test folder shares: the command line in this process or in one of its own, and small checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import random_state, save
from command_line import Result, called

from merge.cli import main

os.environ["MERGE_RATES"] = "off"  # what merges of tests measure is kept nowhere, in their child processes too


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line in this process."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = called(main, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two fine-tuned checkpoints of one architecture, ``a.st`` and ``b.st``, in the test's own folder."""
    return tuple(save(tmp_path / f"{name}.st", random_state(seed)) for seed, name in enumerate("ab"))  # type: ignore[return-value]


@pytest.fixture
def trio(tmp_path: Path, pair: tuple[Path, Path]) -> tuple[Path, Path, Path]:
    """A base, ``base.st``, and the pair."""
    return (save(tmp_path / "base.st", random_state(7)), *pair)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def short_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch a model of the demo, which is plenty for its plumbing."""
    from merge.demo import training

    brief = training.Schedule(epochs=1, learning_rate=1e-3, noise=0.1)
    monkeypatch.setattr(training, "BASE", brief)
    monkeypatch.setattr(training, "TUNED", dict.fromkeys(training.TUNED, brief))


@pytest.fixture
def short_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs for each of the two models that the demo trains from different seeds."""
    from merge.demo import strangers

    train = strangers.train_stranger
    monkeypatch.setattr("merge.demo.independent.train_stranger", lambda *given: train(*given, epochs=2))


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Any:
    torch.set_num_threads(1)
