"""Every recipe of the page "Tokenizers and vocabularies" runs, and what the page says of it is so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import ROOT
from documentation.blocks import blocks
from documentation.play import Cli, play, recipe
from token_models import close, load, make_llama, tensors, vocabulary, word_tokenizer, words

from merge.cli import main
from merge.vocabulary.template import template_names

PAGE = (ROOT / "docs" / "tokenizers.md").read_text("utf-8")
NAME = "model.embed_tokens.weight"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chat = ["<|im_start|>", "<|im_end|>"]
    added = {"base": [], "chat": chat, "code": ["<x>"], "more-chat": chat}
    for seed, (name, tokens) in enumerate(added.items()):
        make_llama(tmp_path / name, word_tokenizer(words(20), tokens), seed=seed)
    for name in ("chat", "code"):
        (tmp_path / name / "chat_template.jinja").write_text("{{ messages }}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(cli: Cli, number: int) -> None:
    play("tokenizers.md", cli, recipe, only=number)


def test_the_union(folder: Path, cli: Cli) -> None:
    run(cli, 0)
    assert vocabulary(folder / "out") == {**vocabulary(folder / "chat"), "<x>": 22}
    assert load(folder / "out").chat_template == "{{ messages }}"
    assert main(["verify", "out"]) == 0


def test_rules(folder: Path, cli: Cli) -> None:
    run(cli, 1)
    place = vocabulary(folder / "ruled")
    assert set(place) == {*words(20), "<|im_start|>", "<|im_end|>", "<x>", "<|tool|>", "<|unused|>"}
    assert json.loads((folder / "ruled" / "config.json").read_text())["vocab_size"] == 32
    base, chat, found = (tensors(folder / name)[NAME] for name in ("base", "chat", "ruled"))
    assert close(found[place["<|im_start|>"]], chat[20])
    assert close(found[place["<|im_end|>"]], (2 * base[2] + chat[21]) / 3)
    assert close(found[place["<|tool|>"]], chat[2])
    assert not found[place["<|unused|>"]].any()


def test_a_template(folder: Path, cli: Cli) -> None:
    run(cli, 2)
    talk = [{"role": "user", "content": "hello"}]
    assert load(folder / "templated").apply_chat_template(talk, tokenize=False) == "hello</s>"


def test_the_page_names_every_template() -> None:
    assert len(blocks("tokenizers.md")) == 3
    for name in template_names():
        assert f"`{name}`" in PAGE
