"""Requests that the models cannot meet are refused with the place in the recipe, before any weight is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from token_models import make_llama, word_tokenizer, words, write_recipe

from merge.checkpoints.files import ReadFile
from merge.cli import main

CHAT = ["<|im_start|>", "<|im_end|>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_llama(root / "base", word_tokenizer(words()), seed=0)
    make_llama(root / "chat", word_tokenizer(words(), CHAT), seed=1)
    make_llama(root / "unused", word_tokenizer(words(), ["<x>"]), rows=64, seed=2)
    return root


def refused(
    folder: Path,
    tmp_path: Path,
    output: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    models: tuple[Any, ...] = ("base", "chat"),
) -> str:
    """Run a merge that must be refused without reading a weight, and return the message."""

    def read(*_: object) -> None:
        raise AssertionError("a weight was read")

    monkeypatch.setattr(ReadFile, "read_into", read)
    listed = [folder / model for model in models]
    recipe = write_recipe(tmp_path / "r.yaml", merge="soup", models=listed, output={"path": "out"} | output)
    capsys.readouterr()
    code = main(["run", str(recipe), "--quiet"])
    message = capsys.readouterr().err
    assert code in (1, 2), message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()
    return message.replace(f"{folder}/", "").replace(f"{tmp_path}/", "")


def rule(source: Any, **more: Any) -> dict[str, Any]:
    return {"tokenizer": {"source": "union", "tokens": {"<|im_start|>": {"source": source, **more}}}}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"tokenizer": "chta"}, "r.yaml:7:3: 'chta' is none of the models that are merged"),
        (rule("chta"), "r.yaml:10:7: 'chta' is none of the models that are merged"),
        (rule("base"), "'base' is none of the models"),  # only a whole tokenizer's source may be called so
        ({"chat_template": "chatlm"}, "r.yaml:7:3: unknown chat template 'chatlm' (did you mean 'chatml'?)"),
        (
            {"tokenizer": "union", "path": "out.safetensors"},
            "r.yaml:7:3: out.safetensors is a single file, which",
        ),
        ({"chat_template": "auto", "path": "out.st"}, "out.st is a single file, which has no place for a tokenizer"),
    ],
)
def test_requests(
    output: dict[str, Any],
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = ("base", "chat") if "tokenizer" in output else ("base", "unused")
    assert message in refused(folder, tmp_path, output, capsys, monkeypatch, models)


def test_rules_for_tokens_that_are_not_there(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, chat, unused = (str(folder / name) for name in ("base", "chat", "unused"))
    cases = [
        (rule(base), f"{base} has no token '<|im_start|>'"),
        (rule({"kind": "model_token", "model": chat, "token": "<|im_strat|>"}), "(did you mean '<|im_start|>'?)"),
        (rule({"kind": "model_token", "model": chat, "token_id": 66}), f"{chat} has 66 rows, and so no token 66"),
        (rule({"kind": "model_token", "model": unused, "token": "<x>"}), f"{unused} has no row for the token '<x>'"),
    ]
    for output, message in cases:
        found = refused(folder, tmp_path, output, capsys, monkeypatch, ("base", "chat", "unused"))
        assert message.replace(f"{folder}/", "") in found
        assert "r.yaml:11:7: " in found


def test_models_without_a_tokenizer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(folder / "base" / "model.safetensors", tmp_path / "bare" / "m.safetensors")
    models = ("base", tmp_path / "bare" / "m.safetensors")
    found = refused(folder, tmp_path, {"tokenizer": "union"}, capsys, monkeypatch, models)
    assert "r.yaml:7:3: bare/m.safetensors: no tokenizer is beside these weights" in found
    shutil.copy(folder / "base" / "config.json", tmp_path / "bare" / "config.json")
    found = refused(folder, tmp_path, {"tokenizer": "union"}, capsys, monkeypatch, models)
    assert "no tokenizer is in its folder (copy tokenizer.json" in found
    found = refused(folder, tmp_path, {"chat_template": "chatml"}, capsys, monkeypatch, tuple(reversed(models)))
    assert "no tokenizer is in its folder" in found


def test_a_model_that_needs_a_token_which_goes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "chat", tmp_path / "picture")
    config = json.loads((tmp_path / "picture" / "config.json").read_text())
    (tmp_path / "picture" / "config.json").write_text(json.dumps(config | {"image_token_id": 64}))
    models = (tmp_path / "picture", "base")
    found = refused(folder, tmp_path, {"tokenizer": folder / "base"}, capsys, monkeypatch, models)
    assert "picture: config.json names '<|im_start|>' as image_token_id, and the output has no such token" in found


def test_rows_of_another_width(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_llama(tmp_path / "wide", word_tokenizer(words(), CHAT), seed=1, hidden_size=32)
    models = ("base", tmp_path / "wide")
    found = refused(folder, tmp_path, {"tokenizer": "union"}, capsys, monkeypatch, models)
    assert "base: 'lm_head.weight': has rows of another size in wide: [66, 32], here [64, 16]" in found


def test_without_a_request_different_vocabularies_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = refused(folder, tmp_path, {}, capsys, monkeypatch)
    assert "r.yaml:4:3: chat has embeddings of 66 tokens, base of 64 (name the tokenizer of the output" in found
