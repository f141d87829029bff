"""The scripts that compare outcomes of mergekit's recipes: what they let pass, and what they do not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from command_line import ROOT
from ruamel.yaml import YAML


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for name in [name for name in sys.modules if name.startswith("agreement")]:
        del sys.modules[name]


@pytest.fixture
def outcomes(tmp_path: Path) -> tuple[Path, Path]:
    """The same model twice, the second with its tokens in another order and with a row for padding as the first."""
    from agreement_recipe_models import llama
    from agreement_recipe_vocabularies import Vocabulary

    torch.manual_seed(0)
    llama(8, 2).save_pretrained(tmp_path / "theirs")
    words = (("u", "v", "w", "x"), ("w", "x", "u", "v"))
    for name, order in zip(("theirs", "ours"), words, strict=True):
        Vocabulary(order).tokenizer().save_pretrained(tmp_path / name)
    state = load(tmp_path / "theirs")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = state[name][[0, 1, 2, 5, 6, 3, 4, 7]]
    save(tmp_path / "ours" / "model.safetensors", state)
    (tmp_path / "ours" / "config.json").write_bytes((tmp_path / "theirs" / "config.json").read_bytes())
    return tmp_path / "theirs", tmp_path / "ours"


def test_tokens_are_compared_by_what_they_are(outcomes):
    from agreement_recipe_compare import difference

    assert difference(*outcomes) == 0
    state = load(outcomes[1])
    rows = state["lm_head.weight"]
    rows[3] += 0.5 * rows.abs().max()
    save(outcomes[1] / "model.safetensors", state)
    assert difference(*outcomes) > 0.3


@pytest.mark.parametrize("key", ["num_hidden_layers", "vocab_size", "tie_word_embeddings", "eos_token_id"])
def test_another_configuration_does_not_pass(outcomes, key):
    from agreement_recipe_compare import DifferenceError, difference

    path = outcomes[1] / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: 99}))
    with pytest.raises(DifferenceError, match=key):
        difference(*outcomes)


def test_other_tensors_do_not_pass(outcomes):
    from agreement_recipe_compare import DifferenceError, difference

    state = load(outcomes[1])
    save(outcomes[1] / "model.safetensors", {name: state[name] for name in state if name != "model.norm.weight"})
    with pytest.raises(DifferenceError, match="names of tensors"):
        difference(*outcomes)


def test_other_tokens_do_not_pass(outcomes):
    from agreement_recipe_compare import DifferenceError, difference
    from agreement_recipe_vocabularies import SPECIAL, Vocabulary

    Vocabulary(("u", "v", "w", "y")).tokenizer().save_pretrained(outcomes[1])
    with pytest.raises(DifferenceError, match="tokens"):
        difference(*outcomes)
    Vocabulary(("u", "v", "w"), special=(*SPECIAL, "x")).tokenizer().save_pretrained(outcomes[1])
    with pytest.raises(DifferenceError, match="special tokens"):
        difference(*outcomes)


def test_every_recipe_is_one_of_mergekit_with_a_name_of_its_own():
    from agreement_recipes import GROUPS, TYPES

    texts = [text for group in GROUPS.values() for text in group.values()]
    documents = [one for text in texts for one in ([text] if isinstance(text, str) else text)]
    assert len(texts) > 90
    assert len({json.dumps(text) for text in texts}) == len(texts)
    for text in documents:
        found = YAML(typ="safe").load(text + TYPES)
        assert "merge_method" in found
        assert sum(key in found for key in ("models", "slices", "modules")) == 1


def test_models_of_all_names_that_recipes_have_are_written(tmp_path):
    from agreement_recipe_models import write_models
    from agreement_recipe_modules import MODULES
    from agreement_recipe_tokens import TOKENS

    write_models(tmp_path)
    text = " ".join([*TOKENS.values(), *MODULES.values()])
    names = {path.name for path in tmp_path.iterdir() if "-" in path.name}
    assert all(name in text for name in names)
    assert all((tmp_path / name / "config.json").exists() for name in names)
    assert all((tmp_path / name / "tokenizer.json").exists() for name in names if name.startswith("t-"))


def test_random_recipes_depend_on_the_seed_alone():
    from agreement_recipe_random import DEPTHS, random_recipes

    texts = random_recipes(40, 3)
    assert texts == random_recipes(40, 3)
    assert texts != random_recipes(40, 4)
    assert len(set(texts.values())) == 40
    for text in texts.values():
        found = YAML(typ="safe").load(text)
        counts = [len(each["sources"]) for each in found["slices"]]
        assert counts[-1] <= counts[0]
        for source in (source for each in found["slices"] for source in each["sources"]):
            first, last = source["layer_range"]
            assert 0 <= first < last <= DEPTHS[source["model"]]
