"""Every command of the page on bundles, in its order, on small models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import save
from documentation.play import play, printed, python
from test_bundle_evaluation import SOURCE, random_network
from tiny_language_models import make_llama
from tiny_language_models import save as save_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(("pretrained", "expert")):
        save(folder / f"{name}.st", random_network(seed))
        save_model(make_llama(seed), folder / f"llama-{'ab'[seed]}")
    (folder / "model.py").write_text(SOURCE)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(folder / "test.npz", images=images, labels=np.arange(40) % 10)
    (folder / "test.yaml").write_text("name: test\nkind: classification\ndata: {path: test.npz}\n")
    (folder / "text.txt").write_text("the cat said yes. " * 5)
    (folder / "text.yaml").write_text("name: text\nkind: perplexity\ndata: {path: text.txt}\ncontext: 16\n")
    return folder


def test_the_page(made, monkeypatch, cli):
    monkeypatch.chdir(made)
    play("bundles.md", cli, "bundle.yaml", python, printed, python)
    result = cli("eval", "mixed", "--model", "model.py:Network", "--benchmark", "test.yaml")
    assert result.code == 0, result.err
