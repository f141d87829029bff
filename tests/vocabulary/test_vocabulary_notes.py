"""A plan says what was decided about tokens and rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from token_models import load, make_four, make_llama, run, word_tokenizer, words, write_recipe

from merge.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_four(tmp_path_factory.mktemp("models"))


def told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tokenizer: Any, *models: str) -> str:
    """What a plan says of its decisions."""
    listed = [folder / name for name in models]
    output = {"path": tmp_path / "out", "tokenizer": tokenizer}
    recipe = write_recipe(tmp_path / "r.yaml", merge="soup", models=listed, output=output)
    capsys.readouterr()
    assert main(["run", str(recipe), "--dry-run"]) == 0
    return " ".join(capsys.readouterr().out.replace(f"{folder}/", "").split())


def test_what_was_decided_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(folder, tmp_path, capsys, "union", "base", "unused", "padded")
    assert "unused has no row for 4 tokens ('<UNUSED_0>', '<UNUSED_1>' …); left out of the tokenizer" in found
    assert "the output's vocabulary: 66 tokens, 66 rows" in found
    found = told(folder, tmp_path, capsys, "base", "padded", "base")
    assert "14 rows without a token are kept from padded; pad_to_multiple_of gives another number" in found
    found = told(folder, tmp_path, capsys, {"source": "base", "pad_to_multiple_of": 4}, "padded", "base")
    assert "12 rows fewer than padded has: pad_to_multiple_of counts from the tokens" in found
    assert "2 rows without a token hold the mean of the others" in found
    found = told(folder, tmp_path, capsys, str(folder / "padded"), "base", "unused")
    assert "no model has a row for '<new>', '<|im_end|>': zeros" in found
    rule = {"source": {"kind": "zero"}}
    found = told(folder, tmp_path, capsys, {"tokens": {"<|im_strat|>": rule}}, "base", "chat")
    assert "no model has '<|im_strat|>': added because of a rule (did you mean '<|im_start|>'?)" in found


def test_words_of_another_vocabulary_are_added_to_the_tokenizer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_llama(tmp_path / "other", word_tokenizer([*words(8), "cat", "dog"]), seed=7)
    models = ("base", str(tmp_path / "other"))
    found = told(folder, tmp_path, capsys, "union", *models)
    assert "'cat', 'dog' from the vocabulary of another model: added beside that of base, whose rules" in found
    out = run(folder, tmp_path / "out", dict.fromkeys(models, 1), "union")
    assert load(out)("w5 cat w6 dog w7 catalog").input_ids == [5, 64, 6, 65, 7, 0]
