"""Every command of the page on bundles, in its order, on small models."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import save
from command_line import ROOT
from test_bundle_evaluation import SOURCE, random_network
from tiny_language_models import make_llama
from tiny_language_models import save as save_model

PAGE = (ROOT / "docs" / "bundles.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.strip().splitlines()]
(RECIPE,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(("pretrained", "expert")):
        save(folder / f"{name}.st", random_network(seed))
        save_model(make_llama(seed), folder / f"llama-{'ab'[seed]}")
    (folder / "model.py").write_text(SOURCE)
    (folder / "bundle.yaml").write_text(RECIPE)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(folder / "test.npz", images=images, labels=np.arange(40) % 10)
    (folder / "test.yaml").write_text("name: test\nkind: classification\ndata: {path: test.npz}\n")
    (folder / "text.txt").write_text("the cat said yes. " * 5)
    (folder / "text.yaml").write_text("name: text\nkind: perplexity\ndata: {path: text.txt}\ncontext: 16\n")
    return folder


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=lambda number: COMMANDS[number][:60])
def test_command_of_the_page(made, monkeypatch, cli, number):
    monkeypatch.chdir(made)
    result = cli(*shlex.split(COMMANDS[number])[1:])
    assert result.code == 0, (COMMANDS[number], result.err)


def test_the_recipe_gives_a_bundle_that_runs(made, monkeypatch, cli):
    monkeypatch.chdir(made)
    result = cli("eval", "mixed", "--model", "model.py:Network", "--benchmark", "test.yaml")
    assert result.code == 0, result.err


def test_the_python_of_the_page_runs(made, monkeypatch):
    import merge

    monkeypatch.chdir(made)
    (lines,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "merge.load" in block)
    names = {"merge": merge}
    exec(lines, names)
    assert names["pretrained"].keys() == names["expert"].keys()
