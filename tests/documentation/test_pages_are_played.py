"""The pages that no test of another folder plays, in worlds of small models and random data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import save
from documentation.blocks import Block, blocks
from documentation.not_run import SCRIPTS_ALONE
from documentation.play import Cli, benchmark, planned, play, printed, recipe, run
from documentation.worlds import benchmarks, digit_models, digit_networks, llamas

from merge.evaluation.specification import read_benchmarks


def test_evaluation(here: Path, cli: Cli, short_demo: None) -> None:
    digit_models(here, ("base", "tuned", "soup"))

    def keys(block: Block, _: Cli) -> None:
        for line in block.text.splitlines():
            Path("more.yaml").write_text(f"name: digits\nkind: classification\ndata: {{path: digits.npz}}\n{line}\n")
            assert len(read_benchmarks(["more.yaml"])) == (1 if line.startswith("corruption:") else 11)

    save(here / "heads.safetensors", {"digits": torch.zeros(10, 8)})
    (here / "text.txt").write_text("the cat said yes. ")
    (here / "tasks").mkdir()
    (here / "sst2.parquet").touch()
    np.savez("digits.npz", test_x=np.zeros((2, 8, 8), np.uint8), test_y=np.arange(2))
    play("evaluation.md", cli, benchmark, keys, benchmark, benchmark, benchmark, benchmark)


def test_recipes(here: Path, cli: Cli) -> None:
    llamas(here, ("base", "code", "math-a", "math-b"))
    digit_models(here, ("a", "b"))
    benchmarks(here, ("a", "b"))
    assert cli("calibrate", "gram", "a", "--data", "a.yaml", "-o", "a-gram.st").code == 0
    play("recipes.md", cli, planned, recipe, recipe)


def test_search(here: Path, cli: Cli) -> None:
    digit_models(here, ("base", "code", "math"))
    play("search.md", cli, "weights.yaml", only=1)
    play("search.md", cli, only=0, more=["--trials", "2"])


def test_the_example_of_search(here: Path, cli: Cli) -> None:
    digit_models(here / "demo", ("base", "tuned-1", "tuned-2", "tuned-3"))
    play("search.md", cli, "weights.yaml", only=2)
    play("search.md", cli, only=3, more=["--trials", "2"])
    play("search.md", cli, "scale.yaml", only=4)
    play("search.md", cli, only=5)
    play("search.md", cli, only=6)


def test_soups(here: Path, cli: Cli) -> None:
    digit_models(here, ("base", "tuned-1", "tuned-2", "tuned-3"))
    play("soups.md", cli)


def test_planning_large_merges(here: Path, cli: Cli) -> None:
    digit_networks(here, ("base", "first", "second"))
    llamas(here, ("base", "first", "second"))
    play("planning-large-merges.md", cli, printed)


def test_clusters(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    digit_models(here, ("base", "a", "b", "c", "one", "two", "three"))
    benchmarks(here, ("task",))

    def job(block: Block, _: Cli) -> None:
        words = block.text.replace("${models[$SLURM_ARRAY_TASK_ID]}", "one").replace("/shared/", "")
        (line,) = (line for line in words.splitlines() if line.startswith("merge "))
        run(line, block, cli)

    play("clusters.md", cli, job)


@pytest.mark.parametrize("page", SCRIPTS_ALONE)
def test_what_scripts_printed(here: Path, cli: Cli, page: str) -> None:
    others = [block for block in blocks(page) if not block.commands]
    play(page, cli, *[printed] * len(others))
