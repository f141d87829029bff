"""Targets: the files of tokenizers, and what folders say of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fuzz_forms import BYTES, JSON
from fuzz_of_configs import LLAMA, llama
from fuzz_target import Target, write, write_json

TOKENS = ["<unk>", "<s>", "</s>", "a", "b", "c", "ab", "abc"]
ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
_RECIPE = "merge: task-arithmetic\nbase: model\nmodels: [other]\noutput: {{path: out, {}}}\n"
_TEXT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def tokenizer(more: list[str]) -> dict[str, Any]:
    """Return the content of a tokenizer.json: byte pairs over three letters, with added tokens."""
    added = [{"id": len(TOKENS) + number, "content": token, **ADDED} for number, token in enumerate(more)]
    vocabulary = {token: number for number, token in enumerate(TOKENS)}
    model = {"type": "BPE", "unk_token": "<unk>", "vocab": vocabulary, "merges": [["a", "b"], ["ab", "c"]]}
    rest = {"truncation": None, "padding": None, "normalizer": None, "post_processor": None, "decoder": None}
    return {
        "version": "1.0",
        "added_tokens": added,
        **rest,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": model,
    }


def models(folder: Path) -> None:
    """Write two tiny Llamas with tokenizers that know different tokens: model and other."""
    for seed, (name, more) in enumerate({"model": ["<x>"], "other": ["<y>", "<x>"]}.items()):
        write(folder / name / "model.safetensors", llama(seed))
        write_json(folder / name / "config.json", LLAMA | {"vocab_size": 10, "bos_token_id": 1, "eos_token_id": [2]})
        write_json(folder / name / "tokenizer.json", tokenizer(more))
        decoder = {str(len(TOKENS) + number): {"content": token, **ADDED} for number, token in enumerate(more)}
        roles = {"unk_token": "<unk>", "bos_token": {"content": "<s>", **ADDED}, "eos_token": "</s>"}
        said = {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": decoder, **roles}
        write_json(
            folder / name / "tokenizer_config.json", said | {"extra_special_tokens": ["<x>"], "chat_template": _TEXT}
        )
        write_json(folder / name / "special_tokens_map.json", roles)
        write_json(
            folder / name / "added_tokens.json", {token: len(TOKENS) + number for number, token in enumerate(more)}
        )
        write_json(folder / name / "generation_config.json", {"eos_token_id": [2], "bos_token_id": 1})
        (folder / name / "chat_template.jinja").write_text(_TEXT)
    (folder / "recipe.yaml").write_text(_RECIPE.format("tokenizer: union"))


def _older(folder: Path) -> None:
    """Write the same as former versions of transformers did, so that the map of special tokens counts."""
    models(folder)
    path = folder / "other" / "tokenizer_config.json"
    said = json.loads(path.read_text())
    del said["added_tokens_decoder"]
    write_json(path, said)


def _read_tokens(folder: Path) -> None:
    """Plan a merge whose output gets the tokens of both models, and one that keeps the base's."""
    from merge.grammar import parse_recipe
    from merge.plan import make_plan

    for words in ("tokenizer: union", "tokenizer: {source: base, tokens: {<x>: {source: other}}}, chat_template: auto"):
        make_plan(parse_recipe(_RECIPE.format(words), "recipe.yaml", folder)).close()


def _images(folder: Path) -> None:
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_center_crop": True,
            "crop_size": {"height": 8, "width": 8},
            "do_resize": True,
            "size": {"shortest_edge": 8},
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
    )
    write_json(folder / "config.json", {"model_type": "merge-demo-digits"})


def _open_clip(folder: Path) -> None:
    text = {"context_length": 8, "vocab_size": 20, "width": 8, "heads": 2, "layers": 1}
    vision = {"image_size": 8, "layers": 1, "width": 8, "patch_size": 4}
    said = {"model_cfg": {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}}
    said |= {"preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}}
    write_json(folder / "open_clip_config.json", said)


def _read_images(folder: Path) -> None:
    from merge.evaluation.model_name import folder_name
    from merge.evaluation.networks.demo_folder import demo_folder
    from merge.evaluation.networks.preprocessor import published_size
    from merge.evaluation.zero_shot.published import of_folder

    published_size(folder)
    of_folder(folder)
    demo_folder(folder, folder_name(folder, "model"))


def _template(folder: Path) -> None:
    (folder / "word.txt").write_text(_TEXT)


def _read_template(folder: Path) -> None:
    from merge.vocabulary.template import check_template

    check_template((folder / "word.txt").read_bytes().decode("utf-8", "replace"), "recipe.yaml:1:1")


_words = ("run", "recipe.yaml", "--dry-run")
TOKENIZERS = (
    Target("tokenizer", "other/tokenizer.json", JSON, models, _read_tokens, _words),
    Target("tokenizer-config", "other/tokenizer_config.json", JSON, models, _read_tokens, _words),
    Target("special-tokens", "other/special_tokens_map.json", JSON, _older, _read_tokens),
    Target("added-tokens", "other/added_tokens.json", JSON, _older, _read_tokens),
    Target("config-of-tokens", "other/config.json", JSON, models, _read_tokens, _words),
    Target("config-of-base", "model/config.json", JSON, models, _read_tokens),
    Target("generation-config", "model/generation_config.json", JSON, models, _read_tokens),
    Target("chat-template", "word.txt", BYTES, _template, _read_template),
    Target("preprocessor-config", "preprocessor_config.json", JSON, _images, _read_images),
    Target("demo-config", "config.json", JSON, _images, _read_images),
    Target("open-clip-config", "open_clip_config.json", JSON, _open_clip, _read_images),
)
