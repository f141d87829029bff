"""Unions in models of several kinds: every row by token against float64, every other tensor as in an ordinary merge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from token_models import SIZES, close, make_llama, save, tensors, vocabulary, word_tokenizer, words, write_recipe

from merge.cli import main

T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
GPT2 = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 2}
FAMILIES: dict[str, tuple[str, str, dict[str, Any], set[str]]] = {
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT2, {"transformer.wte.weight"}),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5, {"shared.weight"}),
    "bert": (
        "BertForMaskedLM",
        "BertConfig",
        SIZES | {"max_position_embeddings": 32},
        {"bert.embeddings.word_embeddings.weight", "cls.predictions.bias"},
    ),
    "phi": (
        "PhiForCausalLM",
        "PhiConfig",
        SIZES,
        {"model.embed_tokens.weight", "lm_head.weight", "lm_head.bias"},
    ),
}


def make(family: str, folder: Path, tokenizer: Any, seed: int) -> Path:
    architecture, config, settings, _ = FAMILIES[family]
    torch.manual_seed(seed)
    settings = settings | {"vocab_size": len(tokenizer), "pad_token_id": 0}
    model = getattr(transformers, architecture)(getattr(transformers, config)(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return save(model, folder, tokenizer)


def merged(path: Path, **keys: Any) -> Path:
    recipe = write_recipe(path.with_suffix(".yaml"), **keys, output={"path": path, "tokenizer": "union"})
    assert main(["run", str(recipe), "--quiet"]) == 0
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_the_union_of_two_models(family: str, tmp_path: Path) -> None:
    by_token = FAMILIES[family][3]
    one = make(family, tmp_path / "one", word_tokenizer(words(20), ["<a>"]), 1)
    two = make(family, tmp_path / "two", word_tokenizer(words(20), ["<b>", "<a>"]), 2)
    out = merged(tmp_path / "out", merge="soup", models=[one, two])
    assert vocabulary(out) == {**vocabulary(one), "<b>": 21}
    first, second, found = tensors(one), tensors(two), tensors(out)
    for name in first.keys() - by_token:
        assert close(found[name], (first[name] + second[name]) / 2), name
    for name in by_token:
        extended = np.concatenate([first[name], second[name][20:21]])
        assert close(found[name], (extended + second[name][[*range(20), 21, 20]]) / 2), name
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 22
    model = getattr(transformers, FAMILIES[family][0]).from_pretrained(out)
    more = {"decoder_input_ids": torch.tensor([[0]])} if family == "t5" else {}
    logits = model(torch.tensor([[3, 20, 21]]), **more).logits
    assert logits.shape[-1] == 22
    assert bool(torch.isfinite(logits).all())


def test_task_vectors_of_new_tokens_are_zero_where_only_one_model_has_them(tmp_path: Path) -> None:
    base = make_llama(tmp_path / "base", word_tokenizer(words(20)), seed=0)
    added = [["<a>"], []]
    tuned = [make_llama(tmp_path / f"t{n}", word_tokenizer(words(20), new), seed=1 + n) for n, new in enumerate(added)]
    options = {"scale": 0.5}
    out = merged(tmp_path / "out", merge="task-arithmetic", base=base, models=tuned, options=options)
    name = "lm_head.weight"
    start, one, two = (tensors(folder)[name] for folder in (base, *tuned))
    assert close(tensors(out)[name][:20], start + 0.5 * (one[:20] + two - 2 * start))
    assert close(tensors(out)[name][20], one[20])


def test_a_stack_has_the_rows_of_tokens_that_only_its_upper_part_has(tmp_path: Path) -> None:
    one = make_llama(tmp_path / "one", word_tokenizer(words(20)), seed=1)
    two = make_llama(tmp_path / "two", word_tokenizer(words(20), ["<a>"]), seed=2)
    models = [{"model": one, "layer_range": "0:1"}, {"model": two, "layer_range": "1:2"}]
    out = merged(tmp_path / "out", merge="stack", models=models)
    first, second, found = tensors(one), tensors(two), tensors(out)
    name = "model.embed_tokens.weight"
    assert np.array_equal(found[name], np.concatenate([first[name], second[name][20:]]))
    assert np.array_equal(found["lm_head.weight"], second["lm_head.weight"])
    assert json.loads((out / "config.json").read_text())["num_hidden_layers"] == 2


def half(folder: Path) -> Path:
    """The same model in bfloat16."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).to(torch.bfloat16)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("lower", [lambda folder: folder, half])
def test_models_of_other_types_and_several_files(lower: Callable[[Path], Path], tmp_path: Path) -> None:
    one = half(make_llama(tmp_path / "one", word_tokenizer(words(20)), seed=1))
    two = lower(make_llama(tmp_path / "two", word_tokenizer(words(20), ["<a>"]), seed=2))
    output = {"path": tmp_path / "out", "tokenizer": "union", "dtype": "float32", "max_shard_size": "2KB"}
    recipe = write_recipe(tmp_path / "r.yaml", merge="soup", models=[one, two], output=output)
    assert main(["run", str(recipe), "--quiet"]) == 0
    assert (tmp_path / "out" / "model.safetensors.index.json").is_file()
    folders = (one, two, tmp_path / "out")
    models = [transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in folders]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        first, second, found = (model.state_dict()[name].double().numpy() for model in models)
        lacking = torch.from_numpy(second[20:]).to(torch.bfloat16).double().numpy()
        assert close(found[:20], (first + second[:20]) / 2)
        assert close(found[20:], (lacking + second[20:]) / 2)
