"""Recipes of mergekit on folders of transformers: what is written loads and generates, with its layers and tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load
from vocabulary.token_models import make_llama, word_tokenizer, words

UNION = """\
tokenizer:
  source: union
  pad_to_multiple_of: 16
  tokens: {<new>: {source: b, force: true}}
chat_template: chatml
"""
SLICES = """\
slices:
- sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [1, 3]}]
- sources: [{model: a, layer_range: [1, 3], parameters: {weight: [1, 3]}}, {model: b, layer_range: [0, 2]}]
- sources: [{model: b, layer_range: [2, 3]}]
"""
WHOLE = "models: [{model: a}, {model: b}]\n"
HEAD = "merge_method: linear\nbase_model: a\nparameters: {weight: 0.5}\n"
RECIPES = {
    "slices": (HEAD + SLICES, 5, 40),
    "slices and tokens": (HEAD + SLICES + UNION, 5, 48),
    "tokens": (HEAD + WHOLE + UNION, 3, 48),
    "documents": (f"name: mean\n{HEAD}{WHOLE}---\n{HEAD}{SLICES.replace('model: b', 'model: mean')}", 5, 40),
    "documents and tokens": (f"name: mean\n{HEAD}{WHOLE}---\n{HEAD}{SLICES.replace('b,', 'mean,')}{UNION}", 5, 48),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    for seed, (name, added) in enumerate({"a": [], "b": ["<new>"]}.items()):
        rows = 40 + len(added)
        make_llama(folder / name, word_tokenizer(words(40), added), rows=rows, seed=seed, num_hidden_layers=3)
    make_llama(folder / "alike", word_tokenizer(words(40)), rows=40, seed=2, num_hidden_layers=3)
    return folder


def written(folder: Path) -> Any:
    """Load an outcome and let it write some tokens."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("w3 w4", return_tensors="pt")["input_ids"]
    more = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert more.shape[1] == ids.shape[1] + 3
    return model


@pytest.mark.parametrize("case", RECIPES)
def test_outcomes_load_and_printed_recipes_repeat_them(cli, folder, monkeypatch, tmp_path, case):
    monkeypatch.chdir(folder)
    text, layers, rows = RECIPES[case]
    text = text if rows == 48 else text.replace("model: b", "model: alike")
    (tmp_path / "old.yml").write_text(text)
    result = cli("run", tmp_path / "old.yml", "-o", tmp_path / "out")
    assert result.code == 0, result.err
    model = written(tmp_path / "out")
    assert (model.config.num_hidden_layers, model.config.vocab_size) == (layers, rows)
    (tmp_path / "ours.yaml").write_text(cli("run", tmp_path / "old.yml", "--print-recipe").out)
    assert cli("run", tmp_path / "ours.yaml", "-o", tmp_path / "again").code == 0
    one, other = load(tmp_path / "out"), load(tmp_path / "again")
    assert one.keys() == other.keys()
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == json.loads(
        (tmp_path / "again" / "config.json").read_text()
    )
    assert cli("verify", tmp_path / "out").code == 0


def test_documents_with_tokenizers_are_written_in_turn(cli, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    text = f"name: wide\n{HEAD}{WHOLE}{UNION}---\n{HEAD.replace('base_model: a', 'base_model: wide')}"
    (tmp_path / "old.yml").write_text(f"{text}models: [{{model: wide}}, {{model: b}}]\ntokenizer_source: base\n")
    assert cli("run", tmp_path / "old.yml", "-o", tmp_path / "out").code == 2
    result = cli("run", tmp_path / "old.yml", "-o", tmp_path / "out", "-I", tmp_path / "between")
    assert result.code == 0, result.err
    assert written(tmp_path / "between" / "wide").config.vocab_size == 48
    assert written(tmp_path / "out").config.num_hidden_layers == 3
