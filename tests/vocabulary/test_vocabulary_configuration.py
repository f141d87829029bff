"""config.json and generation_config.json follow the output's vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from merge.checkpoints.memory import MemoryCheckpoint
from merge.errors import MergeError
from merge.vocabulary.configuration import Configuration
from merge.vocabulary.members import Member
from merge.vocabulary.tokenizer import Tokenizer

OLD = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "<img>": 4, "b": 5}
NEW = {"<s>": 0, "a": 1, "</s>": 2, "<pad>": 3, "b": 9}


def configuration(new: dict[str, int] = NEW, rows: int = 16, roles: dict[str, str] | None = None) -> Configuration:
    base = Member(0, MemoryCheckpoint("base", {}), Tokenizer("base", Path(), OLD, {}, {}), 8)
    return Configuration(base, Tokenizer("new", Path(), new, {}, roles or {}), rows)


def edited(content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return configuration(**more).edited(content, name="config.json")


def test_the_size_is_entered_wherever_it_stands() -> None:
    content = {
        "vocab_size": 8,
        "text_config": {"vocab_size": 8},
        "vision_config": {"vocab_size": 8},
        "other": {"vocab_size": 5},
    }
    assert edited(content) == content | {"vocab_size": 16, "text_config": {"vocab_size": 16}}


def test_the_size_is_entered_where_it_stood_nowhere() -> None:
    assert edited({"text_config": {"a": 1}}) == {"text_config": {"a": 1, "vocab_size": 16}}
    assert edited({"a": 1}) == {"a": 1, "vocab_size": 16}
    assert edited({"a": 1}, rows=8) == {"a": 1}
    assert edited({"vocab_size": 7}) == {"vocab_size": 16}  # it was wrong before


def test_numbers_follow_the_text_of_their_tokens() -> None:
    content = {
        "bos_token_id": 1,
        "eos_token_id": [2, 3],
        "a_token_index": 3,
        "suppress_tokens": [3, 4, -1, 5],
        "bad_words_ids": [[3, 5], [3, 4]],
        "forced_decoder_ids": [[1, None], [2, 5]],
        "lang_to_id": {"x": 3},
        "num_beams": 3,
        "text_config": {"eos_token_id": 2, "vocab_size": 8},
        "vision_config": {"eos_token_id": 3},
        "pad_token_id": None,
        "sep_token_id": -1,
    }
    assert edited(content) == {
        "bos_token_id": 0,
        "eos_token_id": [2, 1],
        "a_token_index": 1,
        "suppress_tokens": [1, -1, 9],
        "bad_words_ids": [[1, 9]],
        "forced_decoder_ids": [[1, None], [2, 9]],
        "lang_to_id": {"x": 1},
        "num_beams": 3,
        "text_config": {"eos_token_id": 2, "vocab_size": 16},
        "vision_config": {"eos_token_id": 3},
        "pad_token_id": None,
        "sep_token_id": -1,
    }


@pytest.mark.parametrize(
    "odd",
    [{"bad_words_ids": "x"}, {"bad_words_ids": []}, {"forced_decoder_ids": [[]]}, {"eos_token_id": 1.5}],
    ids=str,
)
def test_what_is_no_number_of_a_token_stays(odd: dict[str, Any]) -> None:
    assert edited(odd) == odd | {"vocab_size": 16}


def test_a_role_whose_token_is_gone_goes_to_the_new_tokenizers() -> None:
    found = configuration(roles={"pad_token": "<pad>", "eos_token": "</s>"})
    content = {
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
        "bos_token_id": 4,
        "eos_token_id": [4],
        "mask_token_id": 12,
    }
    assert found.edited(content, name="generation_config.json") == {
        "pad_token_id": 3,
        "decoder_start_token_id": 3,
        "bos_token_id": None,
        "eos_token_id": 2,
        "mask_token_id": 12,
    }
    assert (
        found.notes[0]
        == "generation_config.json: pad_token_id named a token that the output has not; it is now '<pad>'"
    )
    assert found.notes[2].endswith("it is now none")


def test_a_number_without_a_token_stays_unless_another_token_gets_it() -> None:
    content = {"pad_token_id": 6, "eos_token_id": 9}
    assert edited(content) == {"pad_token_id": 6, "eos_token_id": None, "vocab_size": 16}
    assert (
        edited({"image_token_id": 9})["image_token_id"] == 9
    )  # an architecture's default, no token of the base either


def test_a_token_that_the_model_needs_is_required() -> None:
    with pytest.raises(MergeError, match=r"base: config.json names '<img>' as image_token_id, and the"):
        edited({"image_token_id": 4})


def test_files_that_do_not_change_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 8, "eos_token_id": 2}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 3}))
    assert not configuration(OLD, rows=8).beside(tmp_path).edits
    edits = configuration(OLD | {"a": 7}, rows=8).beside(tmp_path).edits
    assert list(edits) == ["generation_config.json"]
    assert edits["generation_config.json"][0]({"eos_token_id": 3}) == {"eos_token_id": 7}
