"""Models of different vocabularies: refused at the model, unless the recipe says what becomes of their tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused

ROWS = {"a": 6, "alike": 6, "b": 7}
SLICES = "merge_method: passthrough\nslices:\n- sources: [{model: a.st, layer_range: [0, 1]}]\n"
REFUSED = {
    "models": ("merge: soup\nmodels:\n- a.st\n- b.st\n", "4:3", "b.st has embeddings of 7 tokens, a.st of 6"),
    "a base": ("merge: ties\nbase: b.st\nmodels:\n- a.st\n", "2:1", "b.st has embeddings of 7 tokens, a.st of 6"),
    "a nested merge": (
        "merge: soup\nmodels:\n- a.st\n- {merge: soup, models: [b.st, b.st]}\n",
        "4:26",
        "b.st has embeddings of 7 tokens",
    ),
    "layers": (
        "merge: stack\nmodels:\n- {model: a.st, layer_range: '0:1'}\n- {model: b.st, layer_range: '0:1'}\n",
        "4:3",
        "b.st has embeddings of 7 tokens",
    ),
    "mergekit's models": (
        "merge_method: linear\nparameters: {weight: 1}\nmodels:\n- model: a.st\n- model: b.st\n",
        "5:3",
        "name the tokenizer of the output: union, base or one of the models",
    ),
    "mergekit's slices": (
        SLICES + "- sources: [{model: b.st, layer_range: [0, 1]}]\n",
        "4:14",
        "b.st has embeddings of 7 tokens",
    ),
}
TAKEN = {
    "models of one vocabulary": "merge: soup\nmodels: [a.st, alike.st]\n",
    "parts of models": "merge: join\nmodels: [{model: a.st, match: '*embed*'}, {model: b.st, match: '*layers*'}]\n",
    "layers between the first and the last": "merge: stack\nmodels: [a.st, b.st, alike.st]\n",
    "a model without tokens": "merge: join\nmodels: [{model: bare.st}, {model: b.st, match: 'lm_head*'}]\n",
}


@pytest.fixture(autouse=True)
def models(here: Path) -> Path:
    for name, rows in ROWS.items():
        embeddings = {key: torch.ones(rows, 4) for key in ("model.embed_tokens.weight", "lm_head.weight")}
        save(here / f"{name}.st", {**embeddings, "model.layers.0.w": torch.ones(4, 4)})
    save(here / "bare.st", {"model.layers.0.w": torch.ones(4, 4)})
    return here


@pytest.mark.parametrize("case", REFUSED)
def test_place_and_advice(cli, models, case):
    text, place, words = REFUSED[case]
    (models / "r.yaml").write_text(text)
    assert_refused(cli("run", "r.yaml", "-o", "out.st"), 2, f"r.yaml:{place}: ", words)


@pytest.mark.parametrize("case", TAKEN)
def test_where_no_embeddings_are_mixed(cli, models, case):
    (models / "r.yaml").write_text(TAKEN[case])
    result = cli("run", "r.yaml", "-o", "out.st")
    assert result.code == 0, result.err


def test_a_policy_decides(cli, models):
    (models / "r.yaml").write_text(REFUSED["models"][0])
    assert cli("run", "r.yaml", "-o", "out.st", "--mismatch", "base").code == 0


def test_on_the_command_line_the_tensors_are_named(cli, models):
    words = ("2 tensors are different in shape", "--mismatch", "`output: {tokenizer: union}`")
    assert_refused(cli("soup", "a.st", "b.st", "-o", "out.st"), 1, *words)


def test_models_of_different_architectures_are_called_so(cli, models):
    for name, kind in (("a", "llama"), ("b", "qwen2")):
        (models / name).mkdir()
        (models / f"{name}.st").rename(models / name / "model.safetensors")
        (models / name / "config.json").write_text(json.dumps({"model_type": kind}))
    words = "models of different architectures: llama, qwen2; else --mismatch"
    assert_refused(cli("soup", "a", "b", "-o", "out"), 1, words)
