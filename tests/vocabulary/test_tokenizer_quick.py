"""What the files of a tokenizer say without transformers is what transformers loads, wherever an answer is given."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers
from command_line import environment
from token_models import byte_tokenizer, make_llama, word_tokenizer, words, write_recipe
from tokenizers import AddedToken

from merge.vocabulary import quick
from merge.vocabulary.quick import DEFAULTS, FLAGS, read_quickly
from merge.vocabulary.tokenizer import load_pretrained, load_tokenizer

CHAT = [AddedToken("<|im_start|>", special=True, lstrip=True), AddedToken("w99", single_word=True), "<plain>"]


def llama(tokens: list[str]) -> Any:
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return transformers.LlamaTokenizer(vocab=vocabulary, merges=[])


def qwen(tokens: list[str]) -> Any:
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return transformers.Qwen2Tokenizer(vocab=vocabulary, merges=[])


def roles_changed(folder: Path) -> None:
    """The older form: flags in tokenizer_config.json, roles and numbers in files of their own."""
    place = folder / "tokenizer_config.json"
    config = json.loads(place.read_text())
    config["added_tokens_decoder"] = {"65": {"content": "w99", "special": True, "normalized": False, "rstrip": True}}
    place.write_text(json.dumps(config | {"additional_special_tokens": ["<plain>"], "pad_token": None}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"sep_token": {"content": "</s>"}}))
    (folder / "added_tokens.json").write_text(json.dumps({"<|im_start|>": 64, "w99": 65, "<plain>": 66}))


def first_form(folder: Path) -> None:
    """The oldest form: nothing of added tokens in tokenizer_config.json."""
    (folder / "special_tokens_map.json").write_text(json.dumps({"sep_token": {"content": "</s>"}}))
    (folder / "added_tokens.json").write_text(json.dumps({"<|im_start|>": 64, "w99": 65, "<plain>": 66}))


CASES = {
    "words": lambda: word_tokenizer(words(), CHAT),
    "roles": lambda: word_tokenizer(words(), CHAT, pad_token="<plain>"),
    "bytes": lambda: byte_tokenizer([("a", "b")], CHAT),
    "llama": lambda: llama(words()),
    "qwen": lambda: qwen(["<|endoftext|>", "a", "b"]),
    "older": lambda: word_tokenizer(words(), CHAT),
    "oldest": lambda: word_tokenizer(words(), CHAT),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_transformers_loads(case: str, tmp_path: Path) -> None:
    CASES[case]().save_pretrained(tmp_path)
    {"older": roles_changed, "oldest": first_form}.get(case, Path.exists)(tmp_path)
    found, loaded = read_quickly(tmp_path), load_pretrained(tmp_path, "m")
    assert found is not None
    assert found.ids == loaded.get_vocab()
    added = loaded.added_tokens_decoder.values()
    assert found.added == {token.content: {flag: getattr(token, flag) for flag in FLAGS} for token in added}
    named = {role: str(token) for role, token in loaded.special_tokens_map.items() if isinstance(token, str)}
    assert found.roles == named


def change(folder: Path, **keys: Any) -> None:
    place = folder / "tokenizer_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | keys))


@pytest.mark.parametrize(
    "keys",
    [
        {"tokenizer_class": "T5Tokenizer"},
        {"tokenizer_class": None},
        {"pad_token": "<elsewhere>"},
        {"extra_special_tokens": ["<elsewhere>"]},
        {"added_tokens_decoder": {"9": {"content": "<s>"}}},
        {"added_tokens_decoder": [1, 2]},
        {"added_tokens_decoder": {"x": {"content": "<s>"}}},
        {"added_tokens_decoder": {"1": "<s>"}},
        {"extra_special_tokens": 5},
        {"tokenizer_class": "LlamaTokenizer", "unk_token": "<elsewhere>"},
    ],
)
def test_where_files_leave_a_doubt_transformers_is_asked(keys: dict[str, Any], tmp_path: Path) -> None:
    word_tokenizer(words(8)).save_pretrained(tmp_path)
    change(tmp_path, **keys)
    assert read_quickly(tmp_path) is None


def test_a_token_that_gets_its_number_when_loaded_is_known(tmp_path: Path) -> None:
    word_tokenizer(words(8)).save_pretrained(tmp_path)
    change(tmp_path, pad_token="<elsewhere>")
    assert load_tokenizer(tmp_path, "m").ids["<elsewhere>"] == 8


@pytest.mark.parametrize("name", [name for name in DEFAULTS if DEFAULTS[name]])
def test_roles_that_classes_fill_in(name: str) -> None:
    parameters = inspect.signature(getattr(transformers, name).__init__).parameters
    roles = {key: value.default for key, value in parameters.items() if key.endswith("_token") and value.default}
    assert {key: value for key, value in roles.items() if isinstance(value, str)} == DEFAULTS[name]
    assert quick.FLAGS == FLAGS


def test_a_plan_needs_neither_transformers_nor_torch(tmp_path: Path) -> None:
    one = make_llama(tmp_path / "one", word_tokenizer(words(20)), seed=0)
    two = make_llama(tmp_path / "two", word_tokenizer(words(20), CHAT), seed=1)
    output = {"path": "out", "tokenizer": "union", "chat_template": "chatml"}
    recipe = write_recipe(tmp_path / "r.yaml", merge="soup", models=[one, two], output=output)
    text = (
        "import sys; from merge.cli import main; code = main(sys.argv[1:]); "
        "print('heavy' if {'torch', 'transformers'} & set(sys.modules) else 'light'); sys.exit(code)"
    )
    arguments = [sys.executable, "-c", text, "run", str(recipe)]
    for more in (["--dry-run"], []):
        done = subprocess.run([*arguments, *more], capture_output=True, text=True, env=environment(), check=True)
        assert done.stdout.splitlines()[-1] == "light"
