"""Two vocabularies of every family that reads text: all tensors with a row for each token grow, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import load
from model_families.decoders import DECODERS
from model_families.family import Family
from model_families.outcomes import close
from model_families.towers import TOWERS

FAMILIES = {name: family for name, family in (DECODERS | TOWERS).items() if name not in ("vit", "clip")}
TOKENS, MORE = 48, ("<n1>", "<n2>")
RECIPE = """
merge_method: linear
base_model: a
models: [{model: a}, {model: b}]
parameters: {weight: 1}
tokenizer: {source: union}
"""


def write_models(family: Family, folder: Path) -> None:
    """Write ``a``, and ``b`` whose tokenizer has two tokens more."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", *(f"w{number}" for number in range(TOKENS - 3))]
    for seed, (name, more) in enumerate({"a": (), "b": MORE}.items()):
        torch.manual_seed(seed)
        model = family.make(3)
        if more:
            model.resize_token_embeddings(TOKENS + len(more), mean_resizing=False)
        model.save_pretrained(folder / name)
        made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        made.add_tokens(list(more))
        PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>").save_pretrained(folder / name)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_union_of_two_vocabularies(cli, tmp_path, monkeypatch, name):
    family = FAMILIES[name]
    monkeypatch.chdir(tmp_path)
    write_models(family, tmp_path)
    Path("old.yml").write_text(RECIPE)
    result = cli("run", "old.yml", "-o", "out", "--no-fsync")
    assert result.code == 0, result.err
    one, other, found = (load(tmp_path / folder) for folder in ("a", "b", "out"))
    assert found.keys() == one.keys()
    grown = {key for key in other if other[key].shape != one[key].shape}
    assert grown
    for key, tensor in found.items():
        shared = tensor[:TOKENS] if key in grown else tensor
        rows = other[key][:TOKENS] if key in grown else other[key]
        assert close(shared, (one[key].double() + rows.double()) / 2), key
        assert key not in grown or torch.equal(tensor[TOKENS:], other[key][TOKENS:]), key
    model = family.load(tmp_path / "out")
    assert model.config.get_text_config().vocab_size == TOKENS + len(MORE)
    assert torch.isfinite(family.run(model)).all()
