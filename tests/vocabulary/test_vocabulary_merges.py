"""Whole merges of models with different vocabularies, row by row against float64, and loaded in transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from token_models import (
    CHAT,
    UNUSED,
    close,
    load,
    make_four,
    make_llama,
    run,
    tensors,
    vocabulary,
    word_tokenizer,
    words,
)

from merge.cli import main

EMBEDDINGS = ("model.embed_tokens.weight", "lm_head.weight")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_four(tmp_path_factory.mktemp("models"))


def expected(
    folder: Path, models: Mapping[str, float], name: str, row: Callable[[str, str], np.ndarray | None], token: str
) -> np.ndarray:
    """The weighted mean of every model's row of a token, where ``row`` says what a model without it takes."""
    total = 0.0
    for model, weight in models.items():
        place = vocabulary(folder / model).get(token, 10**9)
        own = tensors(folder / model)[name]
        found = row(model, token)
        total = total + weight * (own[place] if found is None and place < len(own) else found)
    return total / sum(models.values())


def test_the_union_keeps_66_of_64_and_2_tokens_and_drops_unused_ones(folder: Path, tmp_path: Path) -> None:
    models = {"base": 1.0, "unused": 0.5, "chat": 0.25}
    out = run(folder, tmp_path / "out", models, "union")
    found = vocabulary(out)
    assert len(found) == 66
    assert set(CHAT) <= set(found)
    assert not set(UNUSED) & set(found)
    assert all(found[token] == number for token, number in vocabulary(folder / "base").items())
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 66
    donor = {name: tensors(folder / "chat")[name] for name in EMBEDDINGS}
    for name in EMBEDDINGS:
        merged = tensors(out)[name]
        assert merged.shape == (66, 16)
        for token, place in found.items():
            only = (lambda model, token, name=name: donor[name][found[token]]) if token in CHAT else lambda *_: None
            assert close(merged[place], expected(folder, models, name, only, token)), token


def test_forced_rows_equal_the_donors(folder: Path, tmp_path: Path) -> None:
    tokens = {
        "w10": {"source": folder / "chat", "force": True},
        "w11": {"source": folder / "base", "force": True},
        "w20": {"source": {"kind": "model_token", "model": folder / "chat", "token_id": 64}, "force": True},
        "w21": {"source": {"kind": "model_token", "model": folder / "base", "token": "<s>"}, "force": True},
        "w22": {"source": {"kind": "zero"}, "force": True},
    }
    out = run(folder, tmp_path / "out", {"base": 1, "chat": 2}, {"source": "base", "tokens": tokens})
    assert len(vocabulary(out)) == 64
    for name in EMBEDDINGS:
        merged, base, chat = (tensors(place)[name] for place in (out, folder / "base", folder / "chat"))
        assert close(merged[10], chat[10])
        assert close(merged[11], base[11])
        assert close(merged[20], chat[64])
        assert close(merged[21], base[1])
        assert not merged[22].any()
        assert close(merged[23], (base[23] + 2 * chat[23]) / 3)


def test_without_force_a_rule_counts_only_for_models_that_lack_the_token(folder: Path, tmp_path: Path) -> None:
    tokens = {"<|im_start|>": {"source": {"kind": "zero"}}, "w5": {"source": {"kind": "zero"}}}
    out = run(folder, tmp_path / "out", {"base": 1, "chat": 1}, {"source": "union", "tokens": tokens})
    for name in EMBEDDINGS:
        merged, base, chat = (tensors(place)[name] for place in (out, folder / "base", folder / "chat"))
        assert close(merged[64], chat[64] / 2)
        assert close(merged[65], chat[65])
        assert close(merged[5], (base[5] + chat[5]) / 2)


def test_rows_are_padded_to_a_multiple(folder: Path, tmp_path: Path) -> None:
    out = run(folder, tmp_path / "out", {"chat": 1}, {"source": "base", "pad_to_multiple_of": 16})
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 80
    assert len(vocabulary(out)) == 66
    for name in EMBEDDINGS:
        merged, own = tensors(out)[name], tensors(folder / "chat")[name]
        assert merged.shape == (80, 16)
        assert np.array_equal(merged[:66], own)
        assert close(merged[66:], np.repeat(own.mean(axis=0)[None], 14, axis=0))


def test_a_token_of_several_models_but_not_the_base_is_their_mean(folder: Path, tmp_path: Path) -> None:
    models = {"base": 1, "chat": 1, "padded": 2}
    out = run(folder, tmp_path / "out", models, {"pad_to_multiple_of": 8})
    place = vocabulary(out)
    for name in EMBEDDINGS:
        merged, base, chat, padded = (tensors(p)[name] for p in (out, *(folder / model for model in models)))
        assert merged.shape == (72, 16)
        both = (chat[65] + padded[65]) / 2
        assert close(merged[place["<|im_end|>"]], (both + chat[65] + 2 * padded[65]) / 4)
        assert close(merged[place["<new>"]], padded[64])
        means = np.mean([base[:64].sum(0) + chat[64] + both + padded[64]], axis=0) / 67
        others = (chat.sum(0) + padded[64]) / 67 + 2 * (padded[:66].sum(0) + chat[64]) / 67
        assert close(merged[71], (means + others) / 4)


def test_padding_is_kept_where_the_numbers_stay(folder: Path, tmp_path: Path) -> None:
    models = {"padded": 1, "base": 1}
    out = run(folder, tmp_path / "out", models, "base")
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 80
    for name in EMBEDDINGS:
        merged, padded, base = (tensors(place)[name] for place in (out, folder / "padded", folder / "base"))
        assert merged.shape == (80, 16)
        assert close(merged[64:], padded[64:])  # tokens and padding that only the first model has
        assert close(merged[:64], (padded[:64] + base) / 2)


def test_the_vocabulary_of_a_model_that_is_not_the_base(folder: Path, tmp_path: Path) -> None:
    out = run(folder, tmp_path / "out", {"base": 1, "chat": 1}, folder / "chat")
    assert vocabulary(out) == vocabulary(folder / "chat")
    assert (out / "tokenizer.json").read_bytes() == (folder / "chat" / "tokenizer.json").read_bytes()
    for name in EMBEDDINGS:
        merged, base, chat = (tensors(place)[name] for place in (out, folder / "base", folder / "chat"))
        assert close(merged, (np.concatenate([base, chat[64:]]) + chat) / 2)


def test_a_folder_in_the_place_of_a_model_gives_only_its_tokens(folder: Path, tmp_path: Path) -> None:
    out = run(folder, tmp_path / "out", {"base": 1, "unused": 1}, folder / "chat")
    assert vocabulary(out) == vocabulary(folder / "chat")
    assert not tensors(out)["lm_head.weight"][64:].any()


def test_nothing_changes_where_all_have_the_same_tokens(folder: Path, tmp_path: Path) -> None:
    out = run(folder, tmp_path / "out", {"base": 1, "unused": 1}, "base")
    plain = run(folder, tmp_path / "plain", {"base": 1, "unused": 1}, "base")
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"):
        assert (out / name).read_bytes() == (folder / "base" / name).read_bytes() == (plain / name).read_bytes()


def test_a_tied_model_stays_tied_and_generates(folder: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    make_llama(tmp_path / "a", word_tokenizer(words()), seed=5, tie_word_embeddings=True)
    make_llama(tmp_path / "b", word_tokenizer(words(), CHAT), seed=6, tie_word_embeddings=True)
    out = run(tmp_path, tmp_path / "out", {"a": 1, "b": 1}, "union")
    assert "lm_head.weight" not in tensors(out)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), load(out)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.vocab_size == 66 == len(model.get_input_embeddings().weight)
    ids = tokenizer("w5 w6 <|im_start|> w7", return_tensors="pt").input_ids
    assert ids.tolist() == [[5, 6, 64, 7]]
    made = model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
    assert made.shape[1] > 4
    assert int(made.max()) < 66
    assert torch.isfinite(model(ids).logits).all()


def test_one_tied_model_and_one_that_is_not(folder: Path, tmp_path: Path) -> None:
    make_llama(tmp_path / "a", word_tokenizer(words(), CHAT), seed=5)
    make_llama(tmp_path / "b", word_tokenizer(words()), seed=6, tie_word_embeddings=True)
    out = run(tmp_path, tmp_path / "out", {"a": 1, "b": 1}, "union")
    first, second = tensors(tmp_path / "a"), tensors(tmp_path / "b")["model.embed_tokens.weight"]
    head = np.concatenate([second, first["lm_head.weight"][64:]])
    assert close(tensors(out)["lm_head.weight"], (first["lm_head.weight"] + head) / 2)


def test_the_output_is_verified_and_repeated_to_the_byte(folder: Path, tmp_path: Path) -> None:
    tokenizer = {"source": "union", "pad_to_multiple_of": 32}
    one = run(folder, tmp_path / "one", {"base": 1, "chat": 1}, tokenizer)
    two = run(folder, tmp_path / "two", {"base": 1, "chat": 1}, tokenizer)
    for path in sorted(one.iterdir()):
        if path.name != "README.md":
            assert path.read_bytes() == (two / path.name).read_bytes(), path.name
    assert main(["verify", str(one)]) == 0
