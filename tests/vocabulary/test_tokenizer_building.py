"""Tokenizers with more or fewer tokens: what they cut, what they keep, and which are refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from token_models import byte_tokenizer, load, word_tokenizer, words

from merge.errors import MergeError, UsageError
from merge.vocabulary.building import build_tokenizer
from merge.vocabulary.editing import PLAIN
from merge.vocabulary.files import folder_of
from merge.vocabulary.tokenizer import Tokenizer, load_tokenizer

SPECIAL = {"single_word": False, "lstrip": True, "rstrip": False, "normalized": False, "special": True}


class Place:
    """A model of which only the folder counts."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.location = folder, "the model"


def saved(folder: Path, tokenizer: Any) -> Tokenizer:
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder, "the model")


def written(folder: Path, files: Mapping[str, bytes]) -> Any:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return load(folder)


def test_without_changes_the_files_are_the_same(tmp_path: Path) -> None:
    donor = saved(tmp_path / "a", word_tokenizer(words()))
    built, files = build_tokenizer(donor, [], {})
    assert built is donor
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}


def test_new_tokens_follow_with_their_flags(tmp_path: Path) -> None:
    donor = saved(tmp_path / "a", word_tokenizer(words(8), ["<x>"]))
    built, files = build_tokenizer(donor, [], {"<s2>": SPECIAL, "w99": PLAIN})
    assert {token: built.ids[token] for token in ("<x>", "<s2>", "w99")} == {"<x>": 8, "<s2>": 9, "w99": 10}
    found = written(tmp_path / "b", files)
    assert found.get_vocab() == built.ids
    token = found.added_tokens_decoder[9]
    assert (token.content, token.special, token.lstrip, token.normalized) == ("<s2>", True, True, False)
    assert found("w3 <s2>w4 w99 w999")["input_ids"] == [3, 9, 4, 10, 0]
    assert found.decode([3, 9, 4], skip_special_tokens=True) == "w3 w4"
    assert build_tokenizer(donor, [], {"<s2>": SPECIAL, "w99": PLAIN})[1] == files


def test_pieces_of_another_vocabulary_leave_the_cutting_of_texts_alone(tmp_path: Path) -> None:
    donor = saved(tmp_path / "a", byte_tokenizer([("a", "b"), ("ab", "c")]))
    texts = ["abcabd", "bcd ab", "abde fgh"]
    before = [load(tmp_path / "a")(text)["input_ids"] for text in texts]
    _, files = build_tokenizer(donor, [], dict.fromkeys(("bc", "bcab", "de"), PLAIN))
    found = written(tmp_path / "b", files)
    assert [found(text)["input_ids"] for text in texts] == before
    assert found("ab de")["input_ids"][-1] == found.get_vocab()["de"]  # alone, it is found
    assert found.decode(found("abcabd")["input_ids"]) == "abcabd"


def test_tokens_without_rows_are_left_out_of_everything(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(words(8), ["<pad>", "<x>"], pad_token="<pad>")
    donor = saved(tmp_path / "a", tokenizer)
    config = json.loads((tmp_path / "a" / "tokenizer_config.json").read_text())
    extra = {"8": {"content": "<pad>"}, "9": {"content": "<x>"}, "3": {"content": "w3"}}
    config |= {"added_tokens_decoder": extra, "extra_special_tokens": ["<x>", "w3"]}
    (tmp_path / "a" / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "a" / "added_tokens.json").write_text(json.dumps({"<pad>": 8, "<x>": 9}))
    (tmp_path / "a" / "special_tokens_map.json").write_text(json.dumps({"pad_token": {"content": "<pad>"}}))
    _, files = build_tokenizer(donor, ["<pad>", "<x>"], {"<y>": SPECIAL})
    found = written(tmp_path / "b", files)
    assert set(found.get_vocab()) == {*words(8), "<y>"}
    assert found.get_vocab()["<y>"] == 8
    assert found.pad_token is None
    told = json.loads(files["tokenizer_config.json"])
    assert told["extra_special_tokens"] == ["w3"]
    assert set(told["added_tokens_decoder"]) == {"3", "8"}
    assert json.loads(files["added_tokens.json"]) == {"<y>": 8}
    assert json.loads(files["special_tokens_map.json"]) == {}


def test_a_token_that_is_added_anew_keeps_its_role(tmp_path: Path) -> None:
    donor = saved(tmp_path / "a", word_tokenizer(words(8), ["<x>", "<pad>"], pad_token="<pad>"))
    built, files = build_tokenizer(donor, ["<x>", "<pad>"], {"<y>": PLAIN, "<pad>": donor.added["<pad>"]})
    found = written(tmp_path / "b", files)
    assert found.get_vocab() == built.ids == {**dict(zip(words(8), range(8), strict=True)), "<y>": 8, "<pad>": 9}
    assert found.pad_token_id == 9


@pytest.mark.parametrize("last", [6, 9])
def test_gaps_in_the_numbers(last: int, tmp_path: Path) -> None:
    """The library numbers a new token by how many there are: 6, which may be free or taken."""
    tokenizer = word_tokenizer(words(6))
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["model"]["vocab"]["w5"] = last
    tokenizer.save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").write_text(json.dumps(state))
    donor = load_tokenizer(tmp_path / "a", "the model")
    assert donor.ids["w5"] == last
    if last == 6:
        with pytest.raises(MergeError, match="gives other tokens than it should: '<x>'"):
            build_tokenizer(donor, [], {"<x>": PLAIN})
    else:
        built, files = build_tokenizer(donor, [], {"<x>": PLAIN})
        assert written(tmp_path / "b", files).get_vocab() == built.ids
        assert built.ids["<x>"] not in donor.ids.values()


def test_steps_of_a_byte_pair_encoding_go_with_their_tokens(tmp_path: Path) -> None:
    donor = saved(tmp_path / "a", byte_tokenizer([("a", "b"), ("ab", "c"), ("abc", "d")]))
    _, files = build_tokenizer(donor, ["abc", "abcd"], {})
    found = written(tmp_path / "b", files)
    assert [found.convert_ids_to_tokens(number) for number in found("abcd")["input_ids"]] == ["ab", "c", "d"]


def test_a_tokenizer_without_tokenizer_json_is_brought_into_that_form(tmp_path: Path) -> None:
    from transformers import BertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "cat", "##s"]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (tmp_path / "a" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    donor = load_tokenizer(tmp_path / "a", "the model")
    assert donor.used(7) == {token: number for number, token in enumerate(vocabulary[:7])}
    built, files = build_tokenizer(donor, [], {"<x>": SPECIAL})
    assert built.ids["<x>"] == 8
    assert "vocab.txt" not in files
    found = written(tmp_path / "b", files)
    assert isinstance(found, BertTokenizer)
    assert found("dogs <x>", add_special_tokens=False)["input_ids"] == [5, 7, 8]


def test_a_folder_must_have_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^r.yaml:1:1: the model: no tokenizer is in its folder"):
        folder_of(Place(tmp_path), "r.yaml:1:1")
    with pytest.raises(UsageError, match="no folder of a model"):
        folder_of(Place(None), None)


class Trap:
    """Unpickling it leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["tokenizer.pkl", "vocab.bin", "tokenizer.json", "tokenizer.model", "vocab.txt"])
def test_pickles_are_refused_and_not_loaded(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "trace")))
    with pytest.raises(MergeError, match=rf"the model: its tokenizer {name} is a Python pickle, which is never loaded"):
        folder_of(Place(folder), None)
    assert not (tmp_path / "trace").exists()


def test_code_is_refused_and_not_run(tmp_path: Path) -> None:
    saved(tmp_path, word_tokenizer(words()))
    trace = tmp_path / "trace"
    (tmp_path / "tokenization_own.py").write_text(f"open({str(trace)!r}, 'w')\nclass OwnTokenizer: pass\n")
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config |= {
        "tokenizer_class": "OwnTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(MergeError, match="code that comes with the model, which is never run"):
        load_tokenizer(tmp_path, "the model")
    assert not trace.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {"type": "BPE"}}', '{"version": "1.0"}'])
def test_a_broken_tokenizer_is_one_clear_message(content: str, tmp_path: Path) -> None:
    saved(tmp_path, word_tokenizer(words()))
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(
        MergeError, match=r"the model: cannot load its tokenizer: .+|tokenizer.json: (cannot read it as|holds no) JSON"
    ):
        load_tokenizer(tmp_path, "the model")
