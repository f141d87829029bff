"""Going through the blocks of real architectures, with the data and networks of the command line.

Where all models are the same, the merged blocks are theirs, so that RegMean++ must gather the very Gram matrices that
RegMean gathers in one ordinary pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation import tiny_clip
from evaluation.tiny_language_models import (
    SIZES,
    bert_tokenizer,
    make_bert,
    make_gpt2,
    make_llama,
    make_t5,
    make_tokenizer,
    save,
    vocabulary_size,
)
from evaluation.tiny_models import example_arrays, make_classifier
from safetensors.torch import load_file, save_file

from merge.calibration.data import read_data
from merge.calibration.declared import GramCalibration, SequentialCalibration
from merge.calibration.gram import compute_gram
from merge.calibration.sequential import Found, gather
from merge.calibration.storing import Store
from merge.evaluation.locate import locate
from merge.evaluation.task import Settings

ITEMS = 5
DEEP = "merge-tiny-clip-deep"
TEXTS = ["cat dog", "a", "yes no yes no yes", "dog dog dog", "b c"]
TARGETS = ["no", "yes a cat", "b", "cat cat", "a b c d"]
ENGLISH = ["a b", "a ! cat", "x y z", "q", "m n"]


def make_vit(folder: Path, seed: int) -> None:
    make_classifier(seed, num_hidden_layers=3).save_pretrained(folder)


def make_clip(folder: Path, seed: int) -> None:
    tiny_clip.make_clip(folder, seed)


def make_siglip(folder: Path, seed: int) -> None:
    tiny_clip.make_clip(folder, seed, sigmoid=True)


def make_open_clip(folder: Path, seed: int) -> None:
    import open_clip

    tower = {"layers": 3, "width": 8}
    config = {
        "embed_dim": 6,
        "vision_cfg": {**tower, "image_size": 8, "head_width": 4, "patch_size": 4},
        "text_cfg": {**tower, "context_length": 24, "vocab_size": 49408, "heads": 2},
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{DEEP}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(seed)
    model = open_clip.create_model(DEEP)
    tiny_clip._spread(model)
    save_file(model.state_dict(), folder / "model.safetensors")


def make_timm(folder: Path, seed: int) -> None:
    import timm

    torch.manual_seed(seed)
    model = timm.create_model("test_vit", num_classes=3)
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")


def of_language(make: Callable[..., Any], tokenizer: Callable[[], Any] = make_tokenizer, **changes: Any) -> Any:
    return lambda folder, seed: save(make(seed=seed, **changes), folder, tokenizer())


def make_gemma(seed: int) -> Any:
    """Sliding and full attention in turn: masks that differ from block to block."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(seed)
    sizes = {**SIZES, "num_hidden_layers": 3, "head_dim": 4, "num_key_value_heads": 1, "sliding_window": 2}
    config = Gemma2Config(**sizes, vocab_size=vocabulary_size(), max_position_embeddings=32, initializer_range=0.5)
    return Gemma2ForCausalLM(config)


def make_bart(seed: int) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(seed)
    halves = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("layers", 2), ("ffn_dim", 16))}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = BartConfig(
        vocab_size=vocabulary_size(), d_model=8, **halves, **heads, max_position_embeddings=32, init_std=0.5
    )
    return BartForConditionalGeneration(config)


def make_untied_t5(seed: int) -> Any:
    from transformers import T5ForConditionalGeneration

    config = make_t5().config
    config.tie_word_embeddings, config.num_layers, config.feed_forward_proj = False, 3, "gated-gelu"
    config.is_gated_act, config.dense_act_fn = True, "gelu"
    torch.manual_seed(seed)
    return T5ForConditionalGeneration(config)


BERT = {"make": make_bert, "tokenizer": bert_tokenizer}
CASES: dict[str, tuple[Any, str, str | None, set[str]]] = {  # make, data, --model, matrices of the stem
    "ViT": (make_vit, "grey", None, set()),
    "CLIP image": (make_clip, "colour", None, set()),
    "CLIP text": (make_clip, "english", None, set()),
    "SigLIP image": (make_siglip, "colour", None, set()),
    "SigLIP text": (make_siglip, "english", None, set()),
    "open_clip image": (make_open_clip, "colour", f"open_clip:{DEEP}", set()),
    "open_clip text": (make_open_clip, "english", f"open_clip:{DEEP}", set()),
    "timm ViT": (make_timm, "large", "timm:test_vit", set()),
    "BERT classes": (of_language(**BERT, architecture="BertForSequenceClassification"), "texts", None, set()),
    "BERT masked": (of_language(**BERT), "texts", None, set()),
    "GPT-2": (of_language(make_gpt2), "texts", None, set()),
    "GPT-2 classes": (of_language(make_gpt2, architecture="GPT2ForSequenceClassification"), "texts", None, set()),
    "Llama": (of_language(make_llama, num_key_value_heads=1), "texts", None, set()),
    "Gemma 2": (of_language(make_gemma), "texts", None, set()),
    "T5": (of_language(make_t5), "texts", None, set()),
    "T5 untied": (of_language(make_untied_t5), "texts", None, set()),
    "BART": (of_language(make_bart), "texts", None, set()),
}


@pytest.fixture(autouse=True)
def _deep_towers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tiny_clip.TOWER, "num_hidden_layers", 3)


def write_data(folder: Path, kind: str) -> str:
    if kind in ("texts", "english"):
        rows = [{"text": text, "target": target} for text, target in zip(TEXTS, TARGETS, strict=True)]
        rows = rows if kind == "texts" else [{"text": text} for text in ENGLISH]
        path = folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)
    arrays = example_arrays(ITEMS, None if kind == "grey" else 3)
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


def settings_of(model: str | None) -> Settings:
    return Settings(model=model, batch_size=3)


def plain(folder: Path, model: Path, data: str, settings: Settings) -> tuple[dict[str, Any], Any]:
    store = Store(folder / "plain.safetensors", dtype="float64")
    options = GramCalibration(samples=ITEMS, draw="first")
    with store:
        facts = compute_gram(locate(str(model)).load(), read_data(data), options, settings, store)
    return load_file(store.out), facts


def sequential(
    folder: Path, models: list[Path], base: Path | None, data: str, settings: Settings, **options: Any
) -> tuple[list[dict[str, Any]], Found]:
    outs = [folder / f"gram{number}.safetensors" for number in range(len(models))]
    given = [str(model) for model in models]
    sets = [read_data(data) for _ in models]
    weights = [1 / len(models)] * len(models)
    calibration = SequentialCalibration(samples=ITEMS, draw="first", **options)
    start = None if base is None else str(base)
    found = gather(given, start, sets, calibration, 0.9, weights, settings, outs, force=True, dtype="float64")
    return [load_file(out) for out in outs], found


@pytest.mark.parametrize("granularity", ["block", "linear"])
@pytest.mark.parametrize("case", CASES)
def test_equal_models_have_regmeans_gram_matrices(case: str, granularity: str, tmp_path: Path) -> None:
    make, kind, model, stem = CASES[case]
    for number, name in enumerate(("one", "base")):
        make(tmp_path / name, number)
    data, settings = write_data(tmp_path, kind), settings_of(model)
    wanted, facts = plain(tmp_path, tmp_path / "one", data, settings)
    one, base = tmp_path / "one", tmp_path / "base"
    options = {"final_norm": "mean", "granularity": granularity, "cache": "disk"}
    grams, found = sequential(tmp_path, [one, one], base, data, settings, **options)
    mine, theirs = spread(grams[0], found.facts[0]), spread(wanted, facts)
    assert set(theirs) - set(mine) == stem
    assert found.from_base == ()
    assert len(mine) >= 6
    for name, (gram, rows, layout) in mine.items():
        torch.testing.assert_close(gram, theirs[name][0], rtol=1e-4, atol=1e-5)
        assert (rows, layout) == theirs[name][1:]
    assert all(torch.equal(gram, grams[1][name]) for name, gram in grams[0].items())
    assert found.facts[0].model == facts.model


def spread(grams: dict[str, Any], facts: Any) -> dict[str, tuple[Any, int, str | None]]:
    """Gram matrix, rows and layout of every parameter; plain ones may be shared by several blocks of a decoder."""
    owners = {name: name for name in grams} | dict(facts.aliases)
    return {name: (grams[owner], facts.rows[owner], facts.layout.get(name)) for name, owner in owners.items()}


NORM = ("bias", "weight")
KEPT: dict[str, tuple[str, ...]] = {
    "ViT": tuple(f"vit.layernorm.{kind}" for kind in NORM),
    "CLIP image": (*(f"vision_model.post_layernorm.{kind}" for kind in NORM), "visual_projection.weight"),
    "CLIP text": (*(f"text_model.final_layer_norm.{kind}" for kind in NORM), "text_projection.weight"),
    "SigLIP image": tuple(f"vision_model.post_layernorm.{kind}" for kind in NORM),
    "open_clip image": (*(f"visual.ln_post.{kind}" for kind in NORM), "visual.proj"),
    "open_clip text": (*(f"ln_final.{kind}" for kind in NORM), "text_projection"),
    "timm ViT": tuple(f"norm.{kind}" for kind in NORM),
    "BERT classes": (),
    "GPT-2 classes": tuple(f"transformer.ln_f.{kind}" for kind in NORM),
    "Llama": ("model.norm.weight",),
    "T5": ("decoder.final_layer_norm.weight", "encoder.final_layer_norm.weight"),
    "BART": (),
}


@pytest.mark.parametrize("case", KEPT)
def test_the_final_norm_is_the_bases(case: str, tmp_path: Path) -> None:
    make, kind, model, _ = CASES[case]
    for number, name in enumerate(("one", "two", "base")):
        make(tmp_path / name, number)
    models = [tmp_path / "one", tmp_path / "two"]
    data = write_data(tmp_path, kind)
    grams, found = sequential(tmp_path, models, tmp_path / "base", data, settings_of(model))
    assert found.from_base == KEPT[case]
    assert not set(found.from_base) & set(grams[0])


def test_heads_are_regressed_on_the_merged_blocks(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two", "base")):
        make_vit(tmp_path / name, number)
    models = [tmp_path / "one", tmp_path / "two"]
    grams, found = sequential(tmp_path, models, tmp_path / "base", write_data(tmp_path, "grey"), settings_of(None))
    assert found.facts[0].rows["classifier.weight"] == ITEMS
    assert grams[0]["classifier.weight"].shape == (8, 8)
