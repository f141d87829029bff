"""The token rules that mergekit's pages show, over models whose tokenizers differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load
from example_recipes import TOKENS, narrow_llama
from model_families.outcomes import close

TOKEN_MODELS = {
    "base": (),
    "chat": ("<|im_start|>", "<|end|>"),
    "tools": ("<|im_start|>", "<|start|>", "<|spare|>"),
}
TEMPLATES = {"chat": "{% for message in messages %}{{ message.content }}{% endfor %}"}


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models whose tokenizers share 26 tokens and have others of their own."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("chats")
    words = ["<unk>", "<s>", "</s>", *(f"w{number}" for number in range(23))]
    for seed, (name, more) in enumerate(TOKEN_MODELS.items()):
        made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in (*words[:3], *more)])
        roles = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **roles)
        tokenizer.chat_template = TEMPLATES.get(name)
        narrow_llama(2, len(tokenizer), seed).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def test_tokens_of_several_models(cli, chats, monkeypatch, tmp_path):
    """Of 30 tokens and 2 further rows every one comes from where its rule says."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(chats)
    (tmp_path / "old.yml").write_text(TOKENS)
    result = cli("run", tmp_path / "old.yml", "-o", tmp_path / "out")
    assert result.code == 0, result.err
    found, tokenizer = load(tmp_path / "out"), AutoTokenizer.from_pretrained(tmp_path / "out")
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    assert (len(tokenizer), model.config.vocab_size) == (30, 32)
    assert tokenizer.chat_template == TEMPLATES["chat"]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        _check_rows(found[name], tokenizer, {key: load(chats / key)[name].double() for key in TOKEN_MODELS})


def _check_rows(rows: torch.Tensor, tokenizer: Any, own: dict[str, torch.Tensor]) -> None:
    base, chat, tools = own["base"], own["chat"], own["tools"]
    assert rows.shape[0] == 32
    expected = {f"w{number}": (base[number + 3] + chat[number + 3] + tools[number + 3]) / 3 for number in range(23)}
    expected["<|im_start|>"] = (chat[26] + chat[26] + tools[26]) / 3  # not forced: tools has a row of its own
    expected["<|start|>"] = tools[27]
    expected["<|end|>"] = (base[2] + chat[27] + base[2]) / 3
    expected["<|spare|>"] = tools[28] / 3
    for text, row in expected.items():
        assert close(rows[tokenizer.convert_tokens_to_ids(text)], row), text
